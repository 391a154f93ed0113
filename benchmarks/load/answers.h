/*
 * answers: the readings that were sent and the answers to them. Reading n belongs to asset n % assets
 * and has the name base + n / assets: its source timestamp (ms), or the first sample of a block, where
 * base is 0. The topic of an answer and the name in it identify its reading. The name is the timestamp
 * of a row, the "value" in the prediction of a block, or the first sample of a block that comes back.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define ASSET_OFFSET (sizeof "plant/l1/a" - 1)
#define VALUE_KEY "\"value\":"
#define SEQ_KEY "\"seq\":"
#define ANSWERED (-1)

struct answer {
	int64_t at_ns;
	long seq;
};

struct answers {
	long assets, count; /* readings are numbered below count */
	long fill;          /* readings of an asset that fill its window */
	int shape;
	int64_t base;
	int64_t *sent_ns;   /* by reading; ANSWERED once it is, 0 if never sent */
	long sent, first;   /* number of the next reading, and of the first that counts */
	int64_t drive_ns, measure_ns, stop_ns; /* drive_ns is 0 before readings count */
	int64_t first_ns, last_ns;             /* when they came */
	long filled;        /* assets whose window is full */
	long answered, repeated, unknown;
	int64_t *latency_ns; /* of the answers inside the measured time */
	long measured;
	struct answer *trace; /* of the answers that count; NULL without --trace */
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

/* The number behind a key of the answer, -1 if it has none. */
static int64_t field(const struct mosquitto_message *answer, const char *key)
{
	const char *found = memmem(answer->payload, answer->payloadlen, key, strlen(key));
	char *end;

	if (found == NULL)
		return -1;
	found += strlen(key);
	int64_t number = strtoll(found, &end, 10);
	return end == found ? -1 : number;
}

/* The first sample of a block that was given back, -1 if it is no name of one. */
static int64_t first_sample(const struct mosquitto_message *answer)
{
	float first;

	if (answer->payloadlen < (int)sizeof first)
		return -1;
	memcpy(&first, answer->payload, sizeof first);
	return first >= 0 && first < MAX_COUNT ? (int64_t)first : -1;
}

/* What an answer calls its reading. */
static int64_t name_in(const struct answers *answers, const struct mosquitto_message *answer)
{
	if (answers->shape != BLOCKS)
		return field(answer, TIMESTAMP_KEY);
	int64_t value = field(answer, VALUE_KEY);
	return value >= 0 ? value : first_sample(answer);
}

/* The number of the reading that an answer names, -1 if it names none that was sent. */
static long reading_of(const struct answers *answers, const struct mosquitto_message *answer)
{
	int64_t step = name_in(answers, answer) - answers->base;

	if (strlen(answer->topic) < ASSET_OFFSET)
		return -1;
	long asset = strtol(answer->topic + ASSET_OFFSET, NULL, 10);
	if (step < 0 || step >= answers->count / answers->assets || asset < 0 ||
	    asset >= answers->assets)
		return -1;
	long n = step * answers->assets + asset;
	return answers->sent_ns[n] == 0 ? -1 : n;
}

static void count_early(struct answers *answers, long n)
{
	if (n / answers->assets == answers->fill - 1 && n % answers->assets != 0)
		answers->filled++;
}

static void count_driven(struct answers *answers, long n, int64_t now,
			 const struct mosquitto_message *answer)
{
	if (answers->trace != NULL)
		answers->trace[answers->answered] = (struct answer){now, field(answer, SEQ_KEY)};
	answers->answered++;
	answers->last_ns = now;
	if (now >= answers->measure_ns && now < answers->stop_ns)
		answers->latency_ns[answers->measured++] = now - answers->sent_ns[n];
}

static void count_answer(struct answers *answers, const struct mosquitto_message *answer)
{
	int64_t now = now_ns();
	long n = reading_of(answers, answer);

	if (n < 0) {
		answers->unknown++;
		return;
	}
	if (answers->sent_ns[n] == ANSWERED) {
		answers->repeated++;
		return;
	}
	if (answers->first_ns == 0)
		answers->first_ns = now;
	if (answers->drive_ns == 0)
		count_early(answers, n);
	else if (n >= answers->first)
		count_driven(answers, n, now, answer);
	answers->sent_ns[n] = ANSWERED;
}

static int by_value(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

/* Of the sorted latencies. */
static double percentile_us(const struct answers *answers, double share)
{
	if (answers->measured == 0)
		return 0;
	return answers->latency_ns[(long)(share * (answers->measured - 1) + 0.5)] / 1000.0;
}

static void print_result(struct answers *answers)
{
	int64_t measured_ns = answers->stop_ns - answers->measure_ns;

	qsort(answers->latency_ns, answers->measured, sizeof *answers->latency_ns, by_value);
	printf("{\"sent\":%ld,\"answered\":%ld,\"repeated\":%ld,\"unknown\":%ld,"
	       "\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
	       "\"first_answer_ns\":%" PRId64 ",\"last_answer_ns\":%" PRId64 "}\n",
	       answers->sent - answers->first, answers->answered, answers->repeated,
	       answers->unknown, answers->measured * (double)SECOND_NS / measured_ns,
	       percentile_us(answers, 0.5), percentile_us(answers, 0.99),
	       percentile_us(answers, 0.999), answers->first_ns, answers->last_ns);
}

/* One line an answer that counts: when it came, on the monotonic clock, and its model's seq. */
static void write_trace(const struct answers *answers, const char *path)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		fail("--trace", strerror(errno));
	for (long i = 0; i < answers->answered; i++)
		fprintf(file, "%" PRId64 " %ld\n", answers->trace[i].at_ns, answers->trace[i].seq);
	if (fclose(file) != 0)
		fail("--trace", strerror(errno));
}

static void *zeroed(long count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		fail("memory", "out of memory");
	return memory;
}

static void prepare_answers(struct answers *answers, int64_t base, const struct options *options)
{
	*answers = (struct answers){.assets = options->assets, .count = options->count,
				    .fill = options->fill, .shape = options->shape, .base = base};
	answers->sent_ns = zeroed(options->count, sizeof *answers->sent_ns);
	answers->latency_ns = zeroed(options->count, sizeof *answers->latency_ns);
	if (options->trace != NULL)
		answers->trace = zeroed(options->count, sizeof *answers->trace);
}
