/*
 * forwarder: the limit. Takes every reading and publishes its payload unchanged, at the same QoS,
 * where an agent would publish its prediction. It parses nothing and infers nothing: the most that
 * a program on libmosquitto can do at the same broker.
 *
 * Usage: forwarder PORT QOS      (broker on 127.0.0.1; ends with the connection or on a signal)
 */
#include <string.h>

#include "client.h"

#define READINGS "plant/l1/+/telemetry"
#define ANSWER_LEVELS "_inference/forest"
#define TOPIC_BYTES 256

struct forwarder {
	int qos;
	long packets;
};

static void on_connect(struct mosquitto *client, void *state, int code)
{
	struct forwarder *forwarder = state;

	if (code != 0)
		fail("connect", mosquitto_connack_string(code));
	check(mosquitto_subscribe(client, NULL, READINGS, forwarder->qos), "subscribe");
}

/* plant/l1/<asset>/telemetry -> plant/l1/<asset>/_inference/forest */
static void on_message(struct mosquitto *client, void *state, const struct mosquitto_message *reading)
{
	struct forwarder *forwarder = state;
	char topic[TOPIC_BYTES];
	int prefix = (int)(strrchr(reading->topic, '/') + 1 - reading->topic);
	int length = snprintf(topic, sizeof topic, "%.*s" ANSWER_LEVELS, prefix, reading->topic);

	forwarder->packets++;
	if (length >= TOPIC_BYTES)
		fail("topic", "too long");
	check(mosquitto_publish(client, NULL, topic, reading->payloadlen, reading->payload,
				forwarder->qos, false), "publish");
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: forwarder PORT QOS\n");
		return 2;
	}
	struct forwarder forwarder = {.qos = atoi(argv[2])};
	struct mosquitto *client = new_client("forwarder", &forwarder);
	mosquitto_connect_callback_set(client, on_connect);
	mosquitto_message_callback_set(client, on_message);
	check(mosquitto_connect(client, "127.0.0.1", atoi(argv[1]), KEEPALIVE_S), "connect");
	for (;;)
		turn(client, &forwarder.packets, SECOND_NS);
}
