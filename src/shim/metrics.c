/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  Figures about the running server, in Prometheus' text form.
 *
 * Owns the figures of all threads. Each thread writes its own without a
 * lock; whoever asks adds them up. Routes are known by their templates, a
 * bounded number, never by what clients send.
 *
 *-------------------------------------------------------------------------
 */
#include "metrics.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <h2o/memory.h>
#include <h2o/string_.h>

#define MAX_THREADS	 512
#define MAX_ROUTES	 512 /* the first one stands for what has no route, and for what comes after the last */
#define STATUS_KINDS 6	 /* by the first digit */

/* upper bounds of the durations in microseconds */
static const uint64_t bounds[] = {250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000};
#define BOUND_COUNT (sizeof(bounds) / sizeof(bounds[0]))

typedef struct RouteFigures
{
	_Atomic uint64_t statuses[STATUS_KINDS];
	_Atomic uint64_t buckets[BOUND_COUNT + 1];
	_Atomic uint64_t microseconds;
} RouteFigures;

typedef struct Figures
{
	_Atomic int64_t values[METRIC_COUNT];
	RouteFigures	routes[MAX_ROUTES];
} Figures;

static pthread_mutex_t	 lock = PTHREAD_MUTEX_INITIALIZER;
static Figures *_Atomic	 threads[MAX_THREADS];
static atomic_int		 nthreads;
static __thread Figures *own;

static char		 *route_labels[MAX_ROUTES];
static atomic_int nroutes;

static Figures *
figures(void)
{
	int index;

	if (own)
		return own;
	own = calloc(1, sizeof(Figures));
	if (own == NULL)
		h2o_fatal("out of memory");
	pthread_mutex_lock(&lock);
	index = atomic_load(&nthreads);
	if (index == MAX_THREADS)
		h2o_fatal("too many threads");
	atomic_store(&threads[index], own);
	atomic_store(&nthreads, index + 1);
	pthread_mutex_unlock(&lock);
	return own;
}

/* metrics_route is the number of a route, the same each time the endpoints are read. */
int
metrics_route(const char *method, const char *path)
{
	char label[512];
	int	 found = 0;

	snprintf(label, sizeof(label), "method=\"%s\",route=\"%s\"", method, path);
	pthread_mutex_lock(&lock);
	if (atomic_load(&nroutes) == 0)
	{
		route_labels[0] = h2o_strdup(NULL, "method=\"\",route=\"\"", SIZE_MAX).base;
		atomic_store(&nroutes, 1);
	}
	for (int i = 1; i < nroutes && found == 0; i++)
	{
		if (strcmp(route_labels[i], label) == 0)
			found = i;
	}
	if (found == 0 && nroutes < MAX_ROUTES && strpbrk(path, "\"\\\n") == NULL)
	{
		found = nroutes;
		route_labels[found] = h2o_strdup(NULL, label, SIZE_MAX).base;
		atomic_store(&nroutes, found + 1);
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/* bump adds to a figure that only this thread writes. */
static void
bump(_Atomic uint64_t *figure, uint64_t delta)
{
	atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + delta, memory_order_relaxed);
}

void
metrics_add(Metric metric, int64_t delta)
{
	_Atomic int64_t *value = &figures()->values[metric];

	atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + delta, memory_order_relaxed);
}

void
metrics_request(int route, int status, uint64_t microseconds)
{
	RouteFigures *entry = &figures()->routes[route];
	size_t		  bucket = 0;

	while (bucket < BOUND_COUNT && microseconds > bounds[bucket])
		bucket++;
	bump(&entry->statuses[status / 100 % STATUS_KINDS], 1);
	bump(&entry->buckets[bucket], 1);
	bump(&entry->microseconds, microseconds);
}

static void append_format(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
append_format(Buffer *buffer, const char *format, ...)
{
	char	line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	buffer_append_text(buffer, line);
}

static void
write_values(Buffer *buffer)
{
	static const struct
	{
		const char *name;
		const char *labels;
		const char *type;
		const char *help;
	} described[METRIC_COUNT] = {
#define METRIC(name, exported, labels, type, help) {exported, labels, type, help},
		METRICS(METRIC)
#undef METRIC
	};

	for (int i = 0; i < METRIC_COUNT; i++)
	{
		int64_t sum = 0;

		if (*described[i].help != '\0')
			append_format(buffer, "# HELP rental_%s %s.\n# TYPE rental_%s %s\n", described[i].name, described[i].help,
						  described[i].name, described[i].type);
		for (int t = 0; t < nthreads; t++)
			sum += atomic_load_explicit(&threads[t]->values[i], memory_order_relaxed);
		append_format(buffer, "rental_%s%s %lld\n", described[i].name, described[i].labels, (long long) sum);
	}
}

static uint64_t
route_sum(int route, size_t offset)
{
	uint64_t sum = 0;

	for (int t = 0; t < nthreads; t++)
		sum += atomic_load_explicit((_Atomic uint64_t *) ((char *) &threads[t]->routes[route] + offset),
									memory_order_relaxed);
	return sum;
}

/* metrics_write appends all that there is to tell. */
void
metrics_write(Buffer *buffer)
{
	int routes = nroutes;

	write_values(buffer);
	append_format(buffer, "# HELP rental_requests_total Answered requests.\n# TYPE rental_requests_total counter\n");
	for (int route = 0; route < routes; route++)
	{
		for (size_t kind = 1; kind < STATUS_KINDS; kind++)
		{
			uint64_t count = route_sum(route, offsetof(RouteFigures, statuses) + kind * sizeof(uint64_t));

			if (count > 0)
				append_format(buffer, "rental_requests_total{%s,status=\"%zuxx\"} %llu\n", route_labels[route], kind,
							  (unsigned long long) count);
		}
	}
	append_format(buffer, "# HELP rental_request_seconds Time from a request's arrival to its answer.\n"
						  "# TYPE rental_request_seconds histogram\n");
	for (int route = 0; route < routes; route++)
	{
		uint64_t count = 0;

		for (size_t i = 0; i <= BOUND_COUNT; i++)
			count += route_sum(route, offsetof(RouteFigures, buckets) + i * sizeof(uint64_t));
		if (count == 0)
			continue;
		count = 0;
		for (size_t i = 0; i < BOUND_COUNT; i++)
		{
			count += route_sum(route, offsetof(RouteFigures, buckets) + i * sizeof(uint64_t));
			append_format(buffer, "rental_request_seconds_bucket{%s,le=\"%g\"} %llu\n", route_labels[route],
						  (double) bounds[i] / 1e6, (unsigned long long) count);
		}
		count += route_sum(route, offsetof(RouteFigures, buckets) + BOUND_COUNT * sizeof(uint64_t));
		append_format(buffer, "rental_request_seconds_bucket{%s,le=\"+Inf\"} %llu\n", route_labels[route],
					  (unsigned long long) count);
		append_format(buffer, "rental_request_seconds_sum{%s} %.6f\nrental_request_seconds_count{%s} %llu\n",
					  route_labels[route], (double) route_sum(route, offsetof(RouteFigures, microseconds)) / 1e6,
					  route_labels[route], (unsigned long long) count);
	}
}
