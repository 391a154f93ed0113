/*
 * readings: the readings that the generator publishes. A reading is one sample of all signals of an
 * asset, with a source timestamp (ms). As a row it is one JSON object, as scalars one message for each
 * signal. As a block it has many samples, raw float32 with the signals interleaved; its first sample
 * is its number.
 */
#include <inttypes.h>
#include <string.h>

#define ROW_TOPIC "plant/l1/a%03ld/telemetry"
#define SCALAR_TOPIC "plant/l1/a%03ld/raw/%s"
#define BLOCK_TOPIC "plant/l1/a%03ld/vibration"
#define TIMESTAMP_KEY "\"timestamp\":"
#define TOPIC_BYTES 128
#define ROW_BYTES 512
#define ROWS_RENDERED 256 /* different rows of values, made before the start */
#define MAX_SIGNALS 32
#define VALUE_BYTES 16
#define BLOCKS_RENDERED 16 /* few, so that they stay in the processor's cache as rows do */
#define MAX_BLOCK_VALUES 16384

struct readings {
	char *signals[MAX_SIGNALS];
	int width;
	char rows[ROWS_RENDERED][ROW_BYTES]; /* what follows the timestamp: ,"pressure":12.345,...} */
	char values[ROWS_RENDERED][MAX_SIGNALS][VALUE_BYTES];
	float blocks[BLOCKS_RENDERED][MAX_BLOCK_VALUES];
	long block_values; /* of a block */
};

static void name_signals(struct readings *readings, char *names)
{
	for (char *name; (name = strsep(&names, ",")) != NULL;) {
		if (readings->width == MAX_SIGNALS)
			fail("--signals", "32 at most");
		readings->signals[readings->width++] = name;
	}
}

static void render(struct readings *readings)
{
	for (int row = 0; row < ROWS_RENDERED; row++) {
		char *text = readings->rows[row];
		size_t used = 0;

		for (int i = 0; i < readings->width; i++) {
			char *value = readings->values[row][i];

			snprintf(value, VALUE_BYTES, "%.3f", rand() % 100000 / 1000.0);
			used += snprintf(text + used, ROW_BYTES - used, ",\"%s\":%s",
					 readings->signals[i], value);
			if (used + sizeof "}" > ROW_BYTES)
				fail("--signals", "a reading must fit into 512 bytes");
		}
		strcpy(text + used, "}");
	}
}

static void render_blocks(struct readings *readings, long samples)
{
	readings->block_values = samples * readings->width;
	if (readings->block_values > MAX_BLOCK_VALUES)
		fail("--samples", "a block has at most 16384 values");
	for (int block = 0; block < BLOCKS_RENDERED; block++)
		for (long i = 0; i < readings->block_values; i++)
			readings->blocks[block][i] = rand() % 40000 / 1000.0f - 20;
}

static void publish_row(const struct readings *readings, struct mosquitto *client, long asset,
			int64_t time_ms, int qos, long row)
{
	char topic[TOPIC_BYTES], payload[ROW_BYTES + TOPIC_BYTES];
	int length = snprintf(payload, sizeof payload, "{" TIMESTAMP_KEY "%" PRId64 "%s", time_ms,
			      readings->rows[row]);

	snprintf(topic, sizeof topic, ROW_TOPIC, asset);
	check(mosquitto_publish(client, NULL, topic, length, payload, qos, false), "publish");
}

static void publish_scalars(const struct readings *readings, struct mosquitto *client, long asset,
			    int64_t time_ms, int qos, long row)
{
	char topic[TOPIC_BYTES], payload[TOPIC_BYTES];

	for (int i = 0; i < readings->width; i++) {
		int length = snprintf(payload, sizeof payload,
				      "{\"value\":%s," TIMESTAMP_KEY "%" PRId64 "}",
				      readings->values[row][i], time_ms);

		snprintf(topic, sizeof topic, SCALAR_TOPIC, asset, readings->signals[i]);
		check(mosquitto_publish(client, NULL, topic, length, payload, qos, false), "publish");
	}
}

static void publish_block(struct readings *readings, struct mosquitto *client, long asset,
			  int64_t number, int qos, long row)
{
	char topic[TOPIC_BYTES];
	float *block = readings->blocks[row % BLOCKS_RENDERED];

	block[0] = number; /* exact: below 2^24 */
	snprintf(topic, sizeof topic, BLOCK_TOPIC, asset);
	check(mosquitto_publish(client, NULL, topic, readings->block_values * sizeof *block, block, qos,
				false),
	      "publish");
}
