/*
 * client: the connection that generator and forwarder have in common, to a broker on 127.0.0.1. One
 * thread drives it. A turn waits once and then reads everything that has arrived; mosquitto_loop()
 * would wait again for every packet, with about a fifth less throughput at QoS 0 (no gain at QoS 1).
 */
#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS 1000000000LL
#define KEEPALIVE_S 600
#define READS_A_TURN 256
#define MAX_IN_FLIGHT 65535 /* all packet ids: the window of the generator is the only limit */

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
	exit(EXIT_FAILURE);
}

static void check(int code, const char *what)
{
	if (code != MOSQ_ERR_SUCCESS)
		fail(what, mosquitto_strerror(code));
}

/* With `clean` false the broker keeps the session while the client is away. */
static struct mosquitto *new_client(const char *id, bool clean, void *state)
{
	mosquitto_lib_init();
	struct mosquitto *client = mosquitto_new(id, clean, state);
	if (client == NULL)
		fail("mosquitto_new", "out of memory");
	check(mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1), "TCP_NODELAY");
	check(mosquitto_max_inflight_messages_set(client, MAX_IN_FLIGHT), "in-flight limit");
	return client;
}

/* Waits for the socket, then writes what is queued and reads until a read brings no packet.
 * *packets is counted up by the caller's callbacks. */
static void turn(struct mosquitto *client, const long *packets, int64_t wait_ns)
{
	struct timespec wait = {.tv_sec = wait_ns / SECOND_NS, .tv_nsec = wait_ns % SECOND_NS};
	struct pollfd socket = {.fd = mosquitto_socket(client), .events = POLLIN};
	long before;
	int reads = 0;

	if (mosquitto_want_write(client))
		socket.events |= POLLOUT;
	if (ppoll(&socket, 1, &wait, NULL) > 0) {
		do {
			before = *packets;
			check(mosquitto_loop_read(client, 1), "read");
		} while (*packets != before && ++reads < READS_A_TURN);
	}
	if (mosquitto_want_write(client))
		check(mosquitto_loop_write(client, 1), "write");
	check(mosquitto_loop_misc(client), "keep alive");
}
