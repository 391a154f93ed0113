/*
 * generator: the load generator. It publishes readings of many assets, receives the answers of the
 * contender, and prints rate, loss and latency as one line of JSON. It is bounded in time and count,
 * and ends by itself.
 *
 * Asset and timestamp of an answer (of a block: its number) identify its reading. So no order is
 * assumed, and missing, repeated and unknown answers are counted exactly (answers.h).
 *
 * There are four phases. Probe: readings of the first asset at a low rate, until the first answer
 * shows that the contender has subscribed (readings before that may be lost, and do not count). Fill:
 * readings of every other asset, one asset after the other, until all windows are full. Drive: at
 * --rate, or without one as fast as answers come with at most --window readings unanswered, so that no
 * queue on the way overflows; the last --seconds are measured. Drain: wait for the missing answers.
 * With --backlog there are two phases: leave the readings at the broker, and wait for the answers.
 *
 * It prints "driving" when the readings that count begin. It has one thread and one connection, so
 * that it takes as little of the machine as possible.
 */
#include <sys/prctl.h>

#include "client.h"
#include "options.h"
#include "readings.h"
#include "answers.h"

#define PROBE_GAP_NS (SECOND_NS / 200)
#define FILL_AHEAD 4             /* assets whose windows are under way */
#define QUIET_NS SECOND_NS       /* drain: nobody answers any more */
#define DRAIN_NS (3 * SECOND_NS) /* drain: the longest wait */
#define STALL_NS (10 * SECOND_NS) /* backlog: nobody answers any more */
#define PAST_MS 60000            /* few assets' timestamps run ahead of the clock */

struct load {
	struct options options;
	struct readings readings;
	struct answers answers;
	struct mosquitto *client;
	bool subscribed;
	long packets;   /* received, answers and acknowledgements: it rises where a read found something */
	long confirmed; /* messages that the broker has, at QoS 1 */
	long steps;     /* readings of an asset before those that count */
};

static void publish_reading(struct load *load, long n, int qos)
{
	struct answers *answers = &load->answers;
	int64_t name = answers->base + n / answers->assets;
	long asset = n % answers->assets, row = n % ROWS_RENDERED;

	if (n >= answers->count)
		fail("--count", "no reading is left");
	answers->sent_ns[n] = now_ns();
	switch (load->options.shape) {
	case SCALARS: publish_scalars(&load->readings, load->client, asset, name, qos, row); break;
	case BLOCKS: publish_block(&load->readings, load->client, asset, name, qos, row); break;
	default: publish_row(&load->readings, load->client, asset, name, qos, row);
	}
}

/* ---- connection ---- */

static void on_message(struct mosquitto *client, void *state, const struct mosquitto_message *answer)
{
	struct load *load = state;

	(void)client;
	load->packets++;
	count_answer(&load->answers, answer);
}

static void on_publish(struct mosquitto *client, void *state, int id)
{
	struct load *load = state;

	(void)client;
	(void)id;
	load->packets++;
	load->confirmed++;
}

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

	load->client = new_client("load", true, load);
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

static int64_t patience_ns(const struct load *load)
{
	return now_ns() + (int64_t)(load->options.wait_s * SECOND_NS);
}

static void probe(struct load *load)
{
	int64_t deadline = patience_ns(load), next = now_ns();

	while (load->answers.first_ns == 0 && now_ns() < deadline) {
		if (now_ns() >= next) {
			publish_reading(load, load->steps++ * load->answers.assets, load->options.qos);
			next += PROBE_GAP_NS;
		}
		turn_until(load, next);
	}
	if (load->answers.first_ns == 0)
		fail("probe", "nobody answered within --wait seconds");
}

/* Fills every window but the first asset's, which has answered. Always at QoS 0: it is faster. */
static void fill(struct load *load)
{
	long next = 1, before = 1, assets = load->answers.assets, *filled = &load->answers.filled;
	int64_t deadline = patience_ns(load);

	for (*filled = 1; *filled < assets && now_ns() < deadline; turn_until(load, deadline)) {
		for (; next < assets && next - *filled < FILL_AHEAD; next++)
			for (long step = 0; step < load->answers.fill; step++)
				publish_reading(load, step * assets + next, 0);
		if (*filled > before)
			deadline = patience_ns(load);
		before = *filled;
	}
	if (*filled < assets)
		fail("fill", "a full window had no answer within --wait seconds");
	if (load->steps < load->answers.fill)
		load->steps = load->answers.fill;
}

static void begin(struct load *load)
{
	struct answers *answers = &load->answers;

	answers->first = answers->sent = load->steps * answers->assets;
	answers->drive_ns = now_ns();
	answers->measure_ns = answers->drive_ns + (int64_t)(load->options.warmup_s * SECOND_NS);
	answers->stop_ns = answers->measure_ns + (int64_t)(load->options.seconds * SECOND_NS);
}

static void say_driving(void)
{
	puts("driving");
	fflush(stdout);
}

/* When the next reading is due: in its slot at a fixed rate, else at once while the window has room. */
static int64_t due_ns(const struct load *load)
{
	const struct answers *answers = &load->answers;
	long driven = answers->sent - answers->first;

	if (load->options.rate > 0)
		return answers->drive_ns + (int64_t)(driven * (SECOND_NS / load->options.rate));
	return driven - answers->answered < load->options.window ? 0 : INT64_MAX;
}

static void drive(struct load *load)
{
	int64_t now, stop;

	begin(load);
	stop = load->answers.stop_ns;
	say_driving();
	while ((now = now_ns()) < stop) {
		while (due_ns(load) <= now)
			publish_reading(load, load->answers.sent++, load->options.qos);
		int64_t due = due_ns(load);
		turn_until(load, due < stop ? due : stop);
	}
}

/* When to stop waiting for answers: soon after the last one. */
static int64_t give_up_ns(const struct load *load)
{
	int64_t quiet = load->answers.last_ns + QUIET_NS, latest = load->answers.stop_ns + DRAIN_NS;

	return quiet < latest ? quiet : latest;
}

static void drain(struct load *load)
{
	struct answers *answers = &load->answers;

	answers->last_ns = answers->stop_ns;
	while (answers->answered < answers->sent - answers->first && now_ns() < give_up_ns(load))
		turn_until(load, give_up_ns(load));
}

static void leave_at_broker(struct load *load)
{
	int64_t deadline = patience_ns(load);
	long *sent = &load->answers.sent, backlog = load->options.backlog;

	begin(load);
	while (load->confirmed < backlog && now_ns() < deadline) {
		while (*sent < backlog && *sent - load->confirmed < load->options.window)
			publish_reading(load, (*sent)++, 1);
		turn_until(load, deadline);
	}
	if (load->confirmed < backlog)
		fail("--backlog", "the broker did not take it within --wait seconds");
	say_driving();
}

static void await_backlog(struct load *load)
{
	int64_t give_up = patience_ns(load);

	while (load->answers.answered < load->options.backlog && now_ns() < give_up) {
		turn_until(load, give_up);
		if (load->answers.answered > 0)
			give_up = load->answers.last_ns + STALL_NS;
	}
}

static struct load *prepare(int argc, char **argv)
{
	struct load *load = zeroed(1, sizeof *load);

	load->options = parse(argc, argv);
	bool is_block = load->options.shape == BLOCKS;
	int64_t past_ms = clock_ns(CLOCK_REALTIME) / 1000000 - PAST_MS;
	prepare_answers(&load->answers, is_block ? 0 : past_ms, &load->options);
	srand(1); /* every run sends the same rows */
	name_signals(&load->readings, load->options.signals);
	if (is_block)
		render_blocks(&load->readings, load->options.samples);
	else
		render(&load->readings);
	return load;
}

int main(int argc, char **argv)
{
	struct load *load = prepare(argc, argv);

	prctl(PR_SET_TIMERSLACK, 1UL); /* the default lets a wait end 50 us late */
	connect_and_subscribe(load);
	if (load->options.backlog > 0) {
		leave_at_broker(load);
		await_backlog(load);
	} else {
		probe(load);
		if (load->options.fill > 0)
			fill(load);
		drive(load);
		drain(load);
	}
	print_result(&load->answers);
	if (load->answers.trace != NULL)
		write_trace(&load->answers, load->options.trace);
}
