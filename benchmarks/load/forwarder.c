/*
 * forwarder: the limit. It publishes the payload of every reading unchanged, at the same QoS, where an
 * agent would publish its prediction. It parses nothing and infers nothing, so that it shows the most
 * that a program on libmosquitto can do with the same broker. Where a reading has several messages, it
 * answers the last of them, and so publishes as many messages as an agent. Where a reading is larger
 * than a prediction, it publishes only as many bytes as a prediction has.
 *
 * Usage: forwarder PORT QOS FILTER LAST      (broker on 127.0.0.1; answers topics that end in LAST)
 */
#include <string.h>

#include "client.h"

#define ASSET_LEVELS 3 /* plant/l1/<asset> */
#define ANSWER_LEVELS "_inference/forwarded"
#define TOPIC_BYTES 256
#define PREDICTION_BYTES 240

struct forwarder {
	int qos;
	const char *filter, *last;
	long packets;
};

static void on_connect(struct mosquitto *client, void *state, int code)
{
	struct forwarder *forwarder = state;

	if (code != 0)
		fail("connect", mosquitto_connack_string(code));
	check(mosquitto_subscribe(client, NULL, forwarder->filter, forwarder->qos), "subscribe");
}

/* plant/l1/<asset>/telemetry -> plant/l1/<asset>/_inference/forwarded */
static void answer(struct mosquitto *client, const struct mosquitto_message *reading, int qos)
{
	char topic[TOPIC_BYTES];
	const char *end = reading->topic;

	for (int level = 0; level < ASSET_LEVELS; level++)
		end = strchr(end, '/') + 1; /* as many as the filter has */
	int length = snprintf(topic, sizeof topic, "%.*s" ANSWER_LEVELS, (int)(end - reading->topic),
			      reading->topic);
	if (length >= TOPIC_BYTES)
		fail("topic", "too long");
	int size = reading->payloadlen < PREDICTION_BYTES ? reading->payloadlen : PREDICTION_BYTES;
	check(mosquitto_publish(client, NULL, topic, size, reading->payload, qos, false), "publish");
}

static void on_message(struct mosquitto *client, void *state, const struct mosquitto_message *reading)
{
	struct forwarder *forwarder = state;

	forwarder->packets++;
	if (strcmp(strrchr(reading->topic, '/') + 1, forwarder->last) == 0)
		answer(client, reading, forwarder->qos);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: forwarder PORT QOS FILTER LAST\n");
		return 2;
	}
	struct forwarder forwarder = {.qos = atoi(argv[2]), .filter = argv[3], .last = argv[4]};
	struct mosquitto *client = new_client("forwarder", false, &forwarder);
	mosquitto_connect_callback_set(client, on_connect);
	mosquitto_message_callback_set(client, on_message);
	check(mosquitto_connect(client, "127.0.0.1", atoi(argv[1]), KEEPALIVE_S), "connect");
	for (;;)
		turn(client, &forwarder.packets, SECOND_NS);
}
