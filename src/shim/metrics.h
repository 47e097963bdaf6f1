/*-------------------------------------------------------------------------
 *
 * metrics.h
 *	  Figures about the running server, in Prometheus' text form.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_METRICS_H
#define RENTAL_SHIM_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

/* METRIC(name, exported name, labels, type, help); lines of one exported name stand together */
#define METRICS(METRIC)                                                                                               \
	METRIC(CONNECTIONS, "connections", "", "gauge", "Open client connections")                                        \
	METRIC(IN_FLIGHT, "requests_in_flight", "", "gauge", "Requests being answered")                                   \
	METRIC(POOL_UP_READ, "pool_connections", "{pool=\"read\"}", "gauge", "Database connections that are up")          \
	METRIC(POOL_UP_WRITE, "pool_connections", "{pool=\"write\"}", "gauge", "")                                        \
	METRIC(POOL_UP_PASSWORD, "pool_connections", "{pool=\"password\"}", "gauge", "")                                  \
	METRIC(POOL_UP_REPLICA, "pool_connections", "{pool=\"replica\"}", "gauge", "")                                    \
	METRIC(POOL_UP_LISTEN, "pool_connections", "{pool=\"listen\"}", "gauge", "")                                      \
	METRIC(POOL_BUSY_READ, "pool_queries", "{pool=\"read\"}", "gauge", "Queries sent and not answered yet")           \
	METRIC(POOL_BUSY_WRITE, "pool_queries", "{pool=\"write\"}", "gauge", "")                                          \
	METRIC(POOL_BUSY_PASSWORD, "pool_queries", "{pool=\"password\"}", "gauge", "")                                    \
	METRIC(POOL_BUSY_REPLICA, "pool_queries", "{pool=\"replica\"}", "gauge", "")                                      \
	METRIC(POOL_BUSY_LISTEN, "pool_queries", "{pool=\"listen\"}", "gauge", "")                                        \
	METRIC(POOL_QUEUE_READ, "pool_queue", "{pool=\"read\"}", "gauge", "Queries that wait for a connection")           \
	METRIC(POOL_QUEUE_WRITE, "pool_queue", "{pool=\"write\"}", "gauge", "")                                           \
	METRIC(POOL_QUEUE_PASSWORD, "pool_queue", "{pool=\"password\"}", "gauge", "")                                     \
	METRIC(POOL_QUEUE_REPLICA, "pool_queue", "{pool=\"replica\"}", "gauge", "")                                       \
	METRIC(POOL_QUEUE_LISTEN, "pool_queue", "{pool=\"listen\"}", "gauge", "")                                         \
	METRIC(POOL_WAITED_READ, "pool_waits_total", "{pool=\"read\"}", "counter", "Queries that had to wait")            \
	METRIC(POOL_WAITED_WRITE, "pool_waits_total", "{pool=\"write\"}", "counter", "")                                  \
	METRIC(POOL_WAITED_PASSWORD, "pool_waits_total", "{pool=\"password\"}", "counter", "")                            \
	METRIC(POOL_WAITED_REPLICA, "pool_waits_total", "{pool=\"replica\"}", "counter", "")                              \
	METRIC(POOL_WAITED_LISTEN, "pool_waits_total", "{pool=\"listen\"}", "counter", "")                                \
	METRIC(POOL_REFUSED_READ, "pool_refused_total", "{pool=\"read\"}", "counter",                                     \
		   "Queries refused, the queue being full or no connection up")                                               \
	METRIC(POOL_REFUSED_WRITE, "pool_refused_total", "{pool=\"write\"}", "counter", "")                               \
	METRIC(POOL_REFUSED_PASSWORD, "pool_refused_total", "{pool=\"password\"}", "counter", "")                         \
	METRIC(POOL_REFUSED_REPLICA, "pool_refused_total", "{pool=\"replica\"}", "counter", "")                           \
	METRIC(POOL_REFUSED_LISTEN, "pool_refused_total", "{pool=\"listen\"}", "counter", "")                             \
	METRIC(DATABASE_LOST, "database_connections_lost_total", "", "counter", "Database connections lost")              \
	METRIC(DATABASE_RULE, "database_errors_total", "{kind=\"rule\"}", "counter", "Errors of the database by kind")    \
	METRIC(DATABASE_TRANSIENT, "database_errors_total", "{kind=\"transient\"}", "counter", "")                        \
	METRIC(DATABASE_TIMEOUT, "database_errors_total", "{kind=\"timeout\"}", "counter", "")                            \
	METRIC(DATABASE_OTHER, "database_errors_total", "{kind=\"other\"}", "counter", "")                                \
	METRIC(RETRIES, "database_retries_total", "", "counter", "Statements sent again")                                 \
	METRIC(CACHE_HITS, "cache_requests_total", "{result=\"hit\"}", "counter", "Requests that the cache could answer") \
	METRIC(CACHE_MISSES, "cache_requests_total", "{result=\"miss\"}", "counter", "")                                  \
	METRIC(CACHE_JOINED, "cache_requests_total", "{result=\"joined\"}", "counter", "")                                \
	METRIC(CACHE_EVICTED, "cache_evictions_total", "", "counter", "Entries that made room for others")                \
	METRIC(CACHE_BYTES, "cache_bytes", "", "gauge", "Memory of cached answers")                                       \
	METRIC(CACHE_ENTRIES, "cache_entries", "", "gauge", "Cached answers")                                             \
	METRIC(LIMITED, "rate_limited_total", "", "counter", "Requests refused by a rate limit")                          \
	METRIC(TOKENS_REFUSED, "credentials_refused_total", "", "counter", "Tokens and API keys that were refused")       \
	METRIC(STREAMS, "streams", "", "gauge", "Open event streams")                                                     \
	METRIC(STREAM_EVENTS, "stream_events_total", "", "counter", "Events sent to streams")                             \
	METRIC(STREAMS_DROPPED, "streams_dropped_total", "", "counter",                                                   \
		   "Streams closed because their reader was too slow")                                                        \
	METRIC(EXPORTS, "exports", "", "gauge", "Exports under way")                                                      \
	METRIC(EXPORTS_DROPPED, "exports_dropped_total", "", "counter",                                                   \
		   "Exports cut off: a slow client, one that left, or an error")                                              \
	METRIC(ACTIVITY_DROPPED, "activity_dropped_total", "", "counter",                                                 \
		   "Notes of activity, or batches of them, that were not written")                                            \
	METRIC(ACTIVITY_ROBOTS, "activity_robots_total", "", "counter", "Looks that were not noted, since robots made them")

typedef enum Metric
{
#define METRIC(name, exported, labels, type, help) METRIC_##name,
	METRICS(METRIC)
#undef METRIC
	METRIC_COUNT
} Metric;

extern int	metrics_route(const char *method, const char *path);
extern void metrics_add(Metric metric, int64_t delta);
extern void metrics_request(int route, int status, uint64_t microseconds);
extern void metrics_write(Buffer *buffer);

#endif
