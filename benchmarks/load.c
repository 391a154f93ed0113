/*
 * load: publishes JSON readings of many assets, receives the answers of whoever is measured, and
 * prints rate, loss and latency as one line of JSON. Bounded in time and count; ends by itself.
 *
 * Reading n belongs to asset n % assets and carries the source timestamp base + n / assets (ms).
 * An answer comes on a topic of the same asset and carries the same timestamp, so the two name the
 * reading: no order is assumed, and missing, repeated and unknown answers are counted exactly.
 *
 * Three phases. Probe: readings at a low rate until the first answer shows that the other side is
 * there (readings before that may be lost and count for nothing). Drive: at --rate, or without one
 * as fast as answers come with at most --window readings unanswered, so that no queue on the way
 * overflows; the last --seconds are measured. Drain: wait for the answers still due.
 *
 * One thread and one connection, so that the generator takes as little of the machine as it can.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "client.h"
#include "options.h"

#define READING_TOPIC "plant/l1/a%03ld/telemetry"
#define ASSET_OFFSET (sizeof "plant/l1/a" - 1)
#define TIMESTAMP_KEY "\"timestamp\":"
#define TOPIC_BYTES 64
#define ROW_BYTES 512
#define ROWS 256 /* distinct rows of values, rendered before the start */
#define PROBE_GAP_NS (SECOND_NS / 200)
#define QUIET_NS SECOND_NS       /* drain: nobody answers any more */
#define DRAIN_NS (3 * SECOND_NS) /* drain: the longest wait */

struct load {
	struct options options;
	struct mosquitto *client;
	char rows[ROWS][ROW_BYTES];
	int64_t base_ms;
	bool subscribed;
	long packets;       /* received, answers and acknowledgements: tells a read that found something */
	long sent, first;   /* number of the next reading, and of the first that counts */
	int64_t *sent_ns;   /* by reading; 0 once answered */
	int64_t first_answer_ns, last_answer_ns;
	long answered, repeated, unknown;
	int64_t drive_ns, measure_ns, stop_ns;
	int64_t *latency_ns; /* of the answers inside the measured time */
	long measured;
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* ---- readings ---- */

/* Renders the part of a reading that follows its timestamp: ,"pressure":12.345,...} */
static void render_row(char *row, const char *signals)
{
	char *names = strdup(signals), *rest = names;
	size_t used = 0;

	for (char *name; (name = strsep(&rest, ",")) != NULL;) {
		used += snprintf(row + used, ROW_BYTES - used, ",\"%s\":%.3f", name,
				 rand() % 100000 / 1000.0);
		if (used + sizeof "}" > ROW_BYTES)
			fail("--signals", "a reading must fit into 512 bytes");
	}
	strcpy(row + used, "}");
	free(names);
}

static void publish_reading(struct load *load)
{
	char topic[TOPIC_BYTES], payload[ROW_BYTES + TOPIC_BYTES];
	long n = load->sent++;
	int length = snprintf(payload, sizeof payload, "{" TIMESTAMP_KEY "%" PRId64 "%s",
			      load->base_ms + n / load->options.assets, load->rows[n % ROWS]);

	snprintf(topic, sizeof topic, READING_TOPIC, n % load->options.assets);
	load->sent_ns[n] = now_ns();
	check(mosquitto_publish(load->client, NULL, topic, length, payload, load->options.qos, false),
	      "publish");
}

/* ---- answers ---- */

/* The number of the reading that an answer names, -1 if it names none that was sent. */
static long reading_of(const struct load *load, const struct mosquitto_message *answer)
{
	const char *key = memmem(answer->payload, answer->payloadlen, TIMESTAMP_KEY,
				 sizeof TIMESTAMP_KEY - 1);

	if (key == NULL || strlen(answer->topic) < ASSET_OFFSET)
		return -1;
	long asset = strtol(answer->topic + ASSET_OFFSET, NULL, 10);
	int64_t step = strtoll(key + sizeof TIMESTAMP_KEY - 1, NULL, 10) - load->base_ms;
	if (step < 0 || step > load->sent || asset < 0 || asset >= load->options.assets)
		return -1;
	long n = step * load->options.assets + asset;
	return n < load->sent ? n : -1;
}

static void count_answer(struct load *load, long n, int64_t now)
{
	if (load->sent_ns[n] == 0) {
		load->repeated++;
		return;
	}
	if (load->first_answer_ns == 0)
		load->first_answer_ns = now;
	if (load->drive_ns != 0 && n >= load->first) {
		load->answered++;
		load->last_answer_ns = now;
		if (now >= load->measure_ns && now < load->stop_ns)
			load->latency_ns[load->measured++] = now - load->sent_ns[n];
	}
	load->sent_ns[n] = 0;
}

static void on_message(struct mosquitto *client, void *state, const struct mosquitto_message *answer)
{
	struct load *load = state;
	int64_t now = now_ns();
	long n = reading_of(load, answer);

	(void)client;
	load->packets++;
	if (n < 0)
		load->unknown++;
	else
		count_answer(load, n, now);
}

static void on_publish(struct mosquitto *client, void *state, int id)
{
	(void)client;
	(void)id;
	((struct load *)state)->packets++;
}

/* ---- connection ---- */

static void on_connect(struct mosquitto *client, void *state, int code)
{
	struct load *load = state;

	if (code != 0)
		fail("connect", mosquitto_connack_string(code));
	check(mosquitto_subscribe(client, NULL, load->options.answers, load->options.qos), "subscribe");
}

static void on_subscribe(struct mosquitto *client, void *state, int id, int count, const int *qos)
{
	struct load *load = state;

	(void)client;
	(void)id;
	if (count != 1 || qos[0] != load->options.qos)
		fail("subscribe", "the broker did not grant the QoS asked for");
	load->subscribed = true;
}

static void turn_until(struct load *load, int64_t until_ns)
{
	int64_t wait_ns = until_ns - now_ns();

	turn(load->client, &load->packets, wait_ns > 0 ? wait_ns : 0);
}

static void connect_and_subscribe(struct load *load)
{
	int64_t deadline = now_ns() + 10 * SECOND_NS;

	load->client = new_client("load", load);
	mosquitto_connect_callback_set(load->client, on_connect);
	mosquitto_subscribe_callback_set(load->client, on_subscribe);
	mosquitto_message_callback_set(load->client, on_message);
	mosquitto_publish_callback_set(load->client, on_publish);
	check(mosquitto_connect(load->client, "127.0.0.1", load->options.port, KEEPALIVE_S), "connect");
	while (!load->subscribed && now_ns() < deadline)
		turn_until(load, deadline);
	if (!load->subscribed)
		fail("subscribe", "no answer of the broker within 10 s");
}

/* ---- phases ---- */

static void probe(struct load *load)
{
	int64_t deadline = now_ns() + (int64_t)(load->options.wait_s * SECOND_NS);
	int64_t next = now_ns();

	while (load->first_answer_ns == 0 && now_ns() < deadline && load->sent < load->options.count) {
		if (now_ns() >= next) {
			publish_reading(load);
			next += PROBE_GAP_NS;
		}
		turn_until(load, next);
	}
	if (load->first_answer_ns == 0)
		fail("probe", "nobody answered within --wait seconds");
}

/* When the next reading is due: in its slot at a fixed rate, else at once while the window has room. */
static int64_t due_ns(const struct load *load)
{
	long driven = load->sent - load->first;

	if (load->sent == load->options.count)
		return INT64_MAX;
	if (load->options.rate > 0)
		return load->drive_ns + (int64_t)(driven * (SECOND_NS / load->options.rate));
	return driven - load->answered < load->options.window ? 0 : INT64_MAX;
}

static void drive(struct load *load)
{
	int64_t now = now_ns();

	load->first = load->sent;
	load->drive_ns = now;
	load->measure_ns = now + (int64_t)(load->options.warmup_s * SECOND_NS);
	load->stop_ns = load->measure_ns + (int64_t)(load->options.seconds * SECOND_NS);
	while ((now = now_ns()) < load->stop_ns) {
		while (due_ns(load) <= now)
			publish_reading(load);
		int64_t due = due_ns(load);
		turn_until(load, due < load->stop_ns ? due : load->stop_ns);
	}
}

/* When to stop waiting for answers: soon after the last one. */
static int64_t give_up_ns(const struct load *load)
{
	int64_t quiet = load->last_answer_ns + QUIET_NS, latest = load->stop_ns + DRAIN_NS;

	return quiet < latest ? quiet : latest;
}

static void drain(struct load *load)
{
	load->last_answer_ns = load->stop_ns;
	while (load->answered < load->sent - load->first && now_ns() < give_up_ns(load))
		turn_until(load, give_up_ns(load));
}

/* ---- result ---- */

static int by_value(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

static double percentile_us(const struct load *load, double share)
{
	if (load->measured == 0)
		return 0;
	return load->latency_ns[(long)(share * (load->measured - 1) + 0.5)] / 1000.0;
}

static void print_result(struct load *load)
{
	qsort(load->latency_ns, load->measured, sizeof *load->latency_ns, by_value);
	printf("{\"sent\":%ld,\"answered\":%ld,\"repeated\":%ld,\"unknown\":%ld,"
	       "\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
	       "\"first_answer_ns\":%" PRId64 "}\n",
	       load->sent - load->first, load->answered, load->repeated, load->unknown,
	       load->measured / load->options.seconds,
	       percentile_us(load, 0.5), percentile_us(load, 0.99), percentile_us(load, 0.999),
	       load->first_answer_ns);
}

int main(int argc, char **argv)
{
	struct load *load = calloc(1, sizeof *load);

	if (load == NULL)
		fail("memory", "out of memory");
	load->options = parse(argc, argv);
	load->base_ms = clock_ns(CLOCK_REALTIME) / 1000000;
	load->sent_ns = calloc(load->options.count, sizeof *load->sent_ns);
	load->latency_ns = calloc(load->options.count, sizeof *load->latency_ns);
	if (load->sent_ns == NULL || load->latency_ns == NULL)
		fail("memory", "out of memory");
	prctl(PR_SET_TIMERSLACK, 1UL); /* the default lets a wait end 50 us late */
	srand(1); /* every run sends the same rows */
	for (int row = 0; row < ROWS; row++)
		render_row(load->rows[row], load->options.signals);
	connect_and_subscribe(load);
	probe(load);
	drive(load);
	drain(load);
	print_result(load);
}
