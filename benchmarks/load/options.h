/*
 * options: the command line of the generator, with a range for every number.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ASSETS 10000
#define MAX_FILL 65536
#define MAX_COUNT (1L << 24) /* float32 has no larger exact numbers: a block's first sample is its number */
#define MAX_SAMPLES 4096
#define MAX_SECONDS 600.0
#define MAX_WINDOW 65535 /* packet ids at QoS 1 */

enum shape { ROWS, SCALARS, BLOCKS, SHAPES };

static const char *const shape_names[SHAPES] = {"rows", "scalars", "blocks"};

struct options {
	int port, qos, shape;
	long assets, window, fill, backlog, count, samples;
	double rate, warmup_s, seconds, wait_s;
	const char *answers, *trace;
	char *signals;
};

static const char usage[] =
	"usage: generator --port PORT --answers FILTER --signals NAME,NAME,...\n"
	"  --qos 0|1      of readings and answers (0)\n"
	"  --shape S      rows: a reading is one JSON object; scalars: one message a signal;\n"
	"                 blocks: raw float32, signals interleaved (rows)\n"
	"  --samples N    of each signal in a block (1)\n"
	"  --assets N     number of assets, which take turns (100)\n"
	"  --rate R       readings a second; 0: as fast as answers come (0)\n"
	"  --window W     without a rate: readings unanswered at most (500)\n"
	"  --fill N       readings of every asset before the first that counts (0)\n"
	"  --warmup S     driven but not measured (0.5)\n"
	"  --seconds S    measured (3)\n"
	"  --wait S       for the first answer (20)\n"
	"  --backlog N    leave N readings at the broker, say \"driving\", and await their answers (0)\n"
	"  --trace FILE   when each answer came, and the seq of the model that gave it\n"
	"  --count N      readings in all (10000000)\n";

static void check_options(const struct options *options)
{
	const struct {
		const char *name;
		double value, least, most;
	} ranges[] = {
		{"--port", options->port, 1, 65535},
		{"--qos", options->qos, 0, 1},
		{"--assets", options->assets, 1, MAX_ASSETS},
		{"--rate", options->rate, 0, 1e6},
		{"--window", options->window, 1, MAX_WINDOW},
		{"--fill", options->fill, 0, MAX_FILL},
		{"--warmup", options->warmup_s, 0, MAX_SECONDS},
		{"--seconds", options->seconds, 0.001, MAX_SECONDS},
		{"--wait", options->wait_s, 0, MAX_SECONDS},
		{"--backlog", options->backlog, 0, options->count},
		{"--count", options->count, 1, MAX_COUNT},
		{"--samples", options->samples, 1, MAX_SAMPLES},
	};

	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		if (!(ranges[i].value >= ranges[i].least && ranges[i].value <= ranges[i].most)) {
			fprintf(stderr, "generator: %s is %g, allowed is %g to %g\n", ranges[i].name,
				ranges[i].value, ranges[i].least, ranges[i].most);
			exit(2);
		}
	}
	if (options->answers == NULL || options->signals == NULL || options->shape == SHAPES) {
		fputs(usage, stderr);
		exit(2);
	}
}

static int shape_of(const char *name)
{
	int shape = 0;

	while (shape < SHAPES && strcmp(name, shape_names[shape]) != 0)
		shape++;
	return shape;
}

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {
		{"port", required_argument, NULL, 'p'},    {"qos", required_argument, NULL, 'q'},
		{"answers", required_argument, NULL, 'a'}, {"signals", required_argument, NULL, 's'},
		{"shape", required_argument, NULL, 'h'},   {"assets", required_argument, NULL, 'n'},
		{"rate", required_argument, NULL, 'r'},    {"window", required_argument, NULL, 'w'},
		{"fill", required_argument, NULL, 'f'},    {"warmup", required_argument, NULL, 'u'},
		{"seconds", required_argument, NULL, 't'}, {"wait", required_argument, NULL, 'i'},
		{"backlog", required_argument, NULL, 'b'}, {"trace", required_argument, NULL, 'o'},
		{"count", required_argument, NULL, 'c'},   {"samples", required_argument, NULL, 'm'},
		{0},
	};
	struct options options = {.assets = 100, .window = 500, .warmup_s = 0.5, .seconds = 3,
				  .wait_s = 20, .count = 10000000, .samples = 1};

	for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (name) {
		case 'p': options.port = atoi(optarg); break;
		case 'q': options.qos = atoi(optarg); break;
		case 'a': options.answers = optarg; break;
		case 's': options.signals = optarg; break;
		case 'h': options.shape = shape_of(optarg); break;
		case 'n': options.assets = atol(optarg); break;
		case 'r': options.rate = atof(optarg); break;
		case 'w': options.window = atol(optarg); break;
		case 'f': options.fill = atol(optarg); break;
		case 'u': options.warmup_s = atof(optarg); break;
		case 't': options.seconds = atof(optarg); break;
		case 'i': options.wait_s = atof(optarg); break;
		case 'b': options.backlog = atol(optarg); break;
		case 'o': options.trace = optarg; break;
		case 'c': options.count = atol(optarg); break;
		case 'm': options.samples = atol(optarg); break;
		default: fputs(usage, stderr); exit(2);
		}
	}
	check_options(&options);
	return options;
}
