/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  Server-sent events: open answers that follow topics.
 *
 * Owns the streams of a thread and the table of who follows which topic. The
 * database's function says which topics a stream follows; events come by
 * NOTIFY and have a number in their topic. The id of an event is the list of
 * the last numbers of all topics of its stream, so a client that comes back
 * with it misses nothing and gets nothing twice: the stream first follows,
 * holding back what comes, then reads what it has missed. A reader that is
 * too slow is dropped, never waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <jansson.h>

#include "buffer.h"
#include "call.h"
#include "hash.h"
#include "log.h"
#include "metrics.h"
#include "respond.h"
#include "revoke.h"

#define MAX_TOPICS	  8
#define BUCKETS		  16384
#define PENDING_LIMIT 65536	  /* bytes that may wait for a reader */
#define BURST_LIMIT	  1048576 /* the same within one turn of the loop, in which nobody can have taken anything */
#define FAREWELL	  1000	  /* milliseconds that a reader has to take the end of a stream when the server stops */
#define RETRY		  1000	  /* milliseconds after which a client comes back */
#define KIND_TOPIC	  4

struct Stream;

typedef struct Topic
{
	struct Stream *stream;
	struct Topic  *next; /* in the same bucket */
	struct Topic **place;
	char		  *name;
	int64_t		   last;  /* the number of the last event sent */
	bool		   known; /* whether there is one */
} Topic;

typedef struct Held
{
	struct Held *next;
	char		 payload[];
} Held;

typedef struct Stream
{
	h2o_generator_t generator;
	Call		   *call;
	StreamHub	   *hub;
	h2o_linklist_t	link; /* the one that was silent longest comes first */
	uint64_t		active_at;
	int				ntopics;
	Topic			topics[MAX_TOPICS];
	bool			replaying;
	bool			busy; /* h2o has not sent the last part yet */
	bool			ending;
	bool			ended;
	bool			dropped;
	Buffer			sending;
	Buffer			pending;
	Held		   *held;
	Held		  **held_end;
	size_t			held_bytes;
	PgQuery			query;
	const char	   *values[2];
} Stream;

struct StreamHub
{
	h2o_loop_t		   *loop;
	h2o_timeout_t	   *tick_interval;
	h2o_timeout_entry_t tick;
	uint64_t			heartbeat;
	h2o_linklist_t		streams;
	bool				closed; /* no new ones */
	Topic			   *buckets[BUCKETS];
};

static const char replay_sql[] = "SELECT topic, id, type, data FROM rental.stream_replay($1::text[], $2::bigint[])";

static void
touch(Stream *stream)
{
	stream->active_at = h2o_now(stream->hub->loop);
	h2o_linklist_unlink(&stream->link);
	h2o_linklist_insert(&stream->hub->streams, &stream->link);
}

static void
free_buffer(Buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}

/* flush sends what is pending, or ends the stream, as soon as h2o can take it. */
static void
flush(Stream *stream)
{
	h2o_iovec_t part;

	if (stream->busy || stream->ended)
		return;
	free_buffer(&stream->sending);
	if (stream->pending.len == 0 && !stream->ending)
		return;
	stream->sending = stream->pending;
	memset(&stream->pending, 0, sizeof(stream->pending));
	stream->busy = true;
	stream->ended = stream->ending;
	touch(stream);
	part = h2o_iovec_init(stream->sending.data, stream->sending.len);
	h2o_send(stream->call->req, &part, part.len > 0 ? 1 : 0,
			 stream->ending ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void
on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
	Stream *stream = (Stream *) generator;

	stream->busy = false;
	if (stream->dropped)
		h2o_send(req, NULL, 0, H2O_SEND_STATE_ERROR); /* which closes the connection */
	else
		flush(stream);
}

static void
end(Stream *stream)
{
	stream->ending = true;
	if (!stream->replaying)
		flush(stream);
}

/*
 * drop gives up a reader that does not read: nothing could be said to it any
 * more.  What h2o is sending fails then, or if that was through already,
 * on_proceed ends it.
 */
static void
drop(Stream *stream)
{
	h2o_conn_t *conn = stream->call->req->conn;

	metrics_add(METRIC_STREAMS_DROPPED, 1);
	stream->ending = stream->ended = stream->dropped = true;
	shutdown(h2o_socket_get_fd(conn->callbacks->get_socket(conn)), SHUT_RDWR);
}

static Buffer *
pending(Stream *stream)
{
	if (stream->pending.data == NULL)
		buffer_init(&stream->pending, NULL, 256);
	return &stream->pending;
}

static void
append_id(Stream *stream)
{
	Buffer *buffer = pending(stream);

	buffer_append_text(buffer, "id: ");
	for (int i = 0; i < stream->ntopics; i++)
	{
		if (i > 0)
			buffer_append_char(buffer, '.');
		buffer_append_number(buffer, (uint64_t) stream->topics[i].last);
	}
	buffer_append_char(buffer, '\n');
}

static void
append_event(Stream *stream, Topic *topic, int64_t id, const char *type, size_t type_len, const char *data)
{
	Buffer *buffer;

	if (stream->ending || (topic->known && id <= topic->last))
		return;
	topic->last = id;
	topic->known = true;
	append_id(stream);
	buffer = pending(stream);
	buffer_append_text(buffer, "event: ");
	buffer_append(buffer, type, type_len);
	buffer_append_text(buffer, "\ndata: ");
	buffer_append_text(buffer, data);
	buffer_append_text(buffer, "\n\n");
	metrics_add(METRIC_STREAM_EVENTS, 1);
	if (stream->busy && buffer->len > (h2o_now(stream->hub->loop) > stream->active_at ? PENDING_LIMIT : BURST_LIMIT))
		drop(stream);
}

/* the parts of a payload: "topic id type data" */
typedef struct EventParts
{
	const char *topic;
	size_t		topic_len;
	int64_t		id;
	const char *type;
	size_t		type_len;
	const char *data;
} EventParts;

static bool
parse_event(const char *payload, EventParts *event)
{
	char *rest;

	event->topic = payload;
	event->topic_len = strcspn(payload, " ");
	if (payload[event->topic_len] == '\0')
		return false;
	event->id = strtoll(payload + event->topic_len + 1, &rest, 10);
	if (*rest != ' ')
		return false;
	event->type = rest + 1;
	event->type_len = strcspn(event->type, " ");
	if (event->type[event->type_len] == '\0')
		return false;
	event->data = event->type + event->type_len + 1;
	return strchr(event->data, '\n') == NULL;
}

static void
hold(Stream *stream, const char *payload)
{
	size_t len = strlen(payload) + 1;
	Held  *held;

	stream->held_bytes += len;
	if (stream->held_bytes > PENDING_LIMIT)
	{
		stream->ending = true; /* it comes back and reads them */
		return;
	}
	held = h2o_mem_alloc(sizeof(Held) + len);
	held->next = NULL;
	memcpy(held->payload, payload, len);
	*stream->held_end = held;
	stream->held_end = &held->next;
}

static void
deliver(Topic *topic, const EventParts *event, const char *payload)
{
	Stream *stream = topic->stream;

	if (stream->ending)
		return;
	if (stream->replaying)
		hold(stream, payload);
	else
	{
		append_event(stream, topic, event->id, event->type, event->type_len, event->data);
		flush(stream);
	}
}

static uint64_t
bucket_number(const char *name, size_t len)
{
	return hash_bytes(name, len, KIND_TOPIC) % BUCKETS;
}

/* stream_hub_event hands an event to all who follow its topic. */
void
stream_hub_event(StreamHub *hub, const char *payload)
{
	EventParts event;
	Topic	  *next;

	if (!parse_event(payload, &event))
		return;
	for (Topic *topic = hub->buckets[bucket_number(event.topic, event.topic_len)]; topic; topic = next)
	{
		next = topic->next;
		if (strlen(topic->name) == event.topic_len && memcmp(topic->name, event.topic, event.topic_len) == 0)
			deliver(topic, &event, payload);
	}
}

/* stream_hub_check ends the streams whose credentials are not good any more. */
void
stream_hub_check(StreamHub *hub)
{
	h2o_linklist_t *next;
	time_t			now = time(NULL);

	for (h2o_linklist_t *link = hub->streams.next; link != &hub->streams; link = next)
	{
		Stream *stream = H2O_STRUCT_FROM_MEMBER(Stream, link, link);

		next = link->next;
		if (stream->call->actor.known &&
			(revoke_applies(&stream->call->actor) || stream->call->actor.expires_at <= now))
			end(stream);
	}
}

/* stream_hub_end ends all streams; their clients come back by themselves and resume. */
void
stream_hub_end(StreamHub *hub)
{
	h2o_linklist_t all;

	/* ending a stream moves it to the end of the list */
	h2o_linklist_init_anchor(&all);
	h2o_linklist_insert_list(&all, &hub->streams);
	while (!h2o_linklist_is_empty(&all))
	{
		h2o_linklist_t *link = all.next;

		h2o_linklist_unlink(link);
		h2o_linklist_insert(&hub->streams, link);
		end(H2O_STRUCT_FROM_MEMBER(Stream, link, link));
	}
}

/* stream_hub_close ends them for good. */
void
stream_hub_close(StreamHub *hub)
{
	hub->closed = true;
	stream_hub_end(hub);
}

/*
 * on_tick sends a comment on each stream that was silent for long: that finds
 * clients that have gone.  Who has not even taken what was sent then is
 * dropped.
 */
static void
on_tick(h2o_timeout_entry_t *entry)
{
	StreamHub *hub = H2O_STRUCT_FROM_MEMBER(StreamHub, tick, entry);
	uint64_t   now = h2o_now(hub->loop);
	uint64_t   patience = hub->closed ? FAREWELL : hub->heartbeat;
	time_t	   seconds = time(NULL);

	h2o_timeout_link(hub->loop, hub->tick_interval, &hub->tick);
	while (!h2o_linklist_is_empty(&hub->streams))
	{
		Stream *stream = H2O_STRUCT_FROM_MEMBER(Stream, link, hub->streams.next);

		if (now - stream->active_at < patience)
			break;
		touch(stream);
		if (stream->replaying || stream->dropped)
			continue;
		if (stream->busy)
			drop(stream);
		else if (stream->ending)
			continue;
		else if (stream->call->actor.known && stream->call->actor.expires_at <= seconds)
			end(stream);
		else
		{
			buffer_append_text(pending(stream), ":\n\n");
			flush(stream);
		}
	}
}

StreamHub *
stream_hub_create(h2o_context_t *context, int heartbeat)
{
	StreamHub *hub = h2o_mem_alloc(sizeof(*hub));

	memset(hub, 0, sizeof(*hub));
	hub->loop = context->loop;
	hub->heartbeat = (uint64_t) heartbeat;
	hub->tick_interval = &context->one_sec_timeout;
	hub->tick.cb = on_tick;
	h2o_linklist_init_anchor(&hub->streams);
	h2o_timeout_link(hub->loop, hub->tick_interval, &hub->tick);
	return hub;
}

static void
stream_dispose(void *memory)
{
	Stream *stream = memory;

	if (stream->hub == NULL)
		return;
	metrics_add(METRIC_STREAMS, -1);
	pg_pool_abandon(&stream->query);
	h2o_linklist_unlink(&stream->link);
	for (int i = 0; i < stream->ntopics; i++)
	{
		Topic *topic = &stream->topics[i];

		*topic->place = topic->next;
		if (topic->next)
			topic->next->place = topic->place;
		free(topic->name);
	}
	while (stream->held)
	{
		Held *next = stream->held->next;

		free(stream->held);
		stream->held = next;
	}
	free_buffer(&stream->sending);
	free_buffer(&stream->pending);
}

static void
follow(Stream *stream, const char *name)
{
	Topic  *topic = &stream->topics[stream->ntopics++];
	Topic **bucket = &stream->hub->buckets[bucket_number(name, strlen(name))];

	topic->stream = stream;
	topic->name = h2o_strdup(NULL, name, SIZE_MAX).base;
	topic->next = *bucket;
	topic->place = bucket;
	if (topic->next)
		topic->next->place = &topic->next;
	*bucket = topic;
}

/* read_last_id takes the numbers of Last-Event-ID; any other text counts as none. */
static void
read_last_id(Stream *stream)
{
	const h2o_headers_t *headers = &stream->call->req->headers;
	ssize_t				 index = h2o_find_header_by_str(headers, H2O_STRLIT("last-event-id"), -1);
	int64_t				 numbers[MAX_TOPICS];
	const char			*text;
	const char			*textend;

	if (index == -1)
		return;
	text = headers->entries[index].value.base;
	textend = text + headers->entries[index].value.len;
	for (int i = 0; i < stream->ntopics; i++)
	{
		const char *dot = memchr(text, '.', (size_t) (textend - text));
		const char *number_end = dot ? dot : textend;

		if ((dot == NULL) != (i == stream->ntopics - 1) ||
			!text_is_integer(text, (size_t) (number_end - text), 0, INT64_MAX - 1))
			return;
		numbers[i] = strtoll(text, NULL, 10);
		text = number_end + 1;
	}
	for (int i = 0; i < stream->ntopics; i++)
	{
		stream->topics[i].last = numbers[i];
		stream->topics[i].known = true;
	}
}

static void
append_quoted(Buffer *buffer, const char *text)
{
	buffer_append_char(buffer, '"');
	for (; *text != '\0'; text++)
	{
		if (*text == '"' || *text == '\\')
			buffer_append_char(buffer, '\\');
		buffer_append_char(buffer, *text);
	}
	buffer_append_char(buffer, '"');
}

/* take_replay sends what was missed, then what came in the meantime. */
static void
take_replay(Stream *stream, PGresult *result)
{
	for (int i = 0; i < PQntuples(result); i++)
	{
		int		index = atoi(PQgetvalue(result, i, 0));
		int64_t id = strtoll(PQgetvalue(result, i, 1), NULL, 10);
		Topic  *topic;

		if (index < 0 || index >= stream->ntopics)
			continue;
		topic = &stream->topics[index];
		if (PQgetisnull(result, i, 2))
		{
			topic->last = id;
			topic->known = true;
		}
		else
			append_event(stream, topic, id, PQgetvalue(result, i, 2), strlen(PQgetvalue(result, i, 2)),
						 PQgetvalue(result, i, 3));
	}
	append_id(stream);
	buffer_append_char(pending(stream), '\n');
	for (Held *held = stream->held; held; held = held->next)
	{
		EventParts event;

		parse_event(held->payload, &event);
		for (int i = 0; i < stream->ntopics; i++)
		{
			if (strlen(stream->topics[i].name) == event.topic_len &&
				memcmp(stream->topics[i].name, event.topic, event.topic_len) == 0)
				append_event(stream, &stream->topics[i], event.id, event.type, event.type_len, event.data);
		}
	}
}

static void
on_replay(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Stream *stream = H2O_STRUCT_FROM_MEMBER(Stream, query, query);
	Call   *call = stream->call;

	if (outcome != PG_ANSWERED || PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		PQclear(result);
		stream->ending = stream->ended = true;
		respond_error(call, ERROR_unavailable, NULL, "the events cannot be read");
		return;
	}
	buffer_append_text(pending(stream), "retry: ");
	buffer_append_number(pending(stream), RETRY);
	buffer_append_char(pending(stream), '\n');
	take_replay(stream, result);
	PQclear(result);
	stream->replaying = false;
	respond_stream(call, "text/event-stream", &stream->generator);
	flush(stream);
}

/* stream_open makes an open answer of a call; the text is the JSON {"topics": [...]}. */
void
stream_open(Call *call, const char *topics, size_t len)
{
	h2o_mem_pool_t *pool = &call->req->pool;
	json_t		   *document = json_loadb(topics, len, JSON_REJECT_DUPLICATES, NULL);
	json_t		   *list = json_object_get(document, "topics");
	Stream		   *stream = h2o_mem_alloc_shared(pool, sizeof(*stream), stream_dispose);
	Buffer			names;
	Buffer			numbers;

	memset(stream, 0, sizeof(*stream));
	if (json_array_size(list) == 0 || json_array_size(list) > MAX_TOPICS)
	{
		json_decref(document);
		log_message(LOG_ERROR, call->request_id, "%s: a stream needs 1 to %d topics", call->endpoint->path, MAX_TOPICS);
		respond_error(call, ERROR_internal, NULL, "the request id tells the operator what happened");
		return;
	}
	if (call->context->streams->closed)
	{
		json_decref(document);
		respond_error(call, ERROR_unavailable, NULL, "the server is stopping");
		return;
	}
	stream->generator.proceed = on_proceed;
	stream->call = call;
	stream->hub = call->context->streams;
	stream->replaying = true;
	stream->held_end = &stream->held;
	stream->active_at = h2o_now(stream->hub->loop);
	h2o_linklist_insert(&stream->hub->streams, &stream->link);
	metrics_add(METRIC_STREAMS, 1);

	for (size_t i = 0; i < json_array_size(list); i++)
		follow(stream, json_is_string(json_array_get(list, i)) ? json_string_value(json_array_get(list, i)) : "");
	json_decref(document);
	read_last_id(stream);
	buffer_init(&names, pool, 128);
	buffer_init(&numbers, pool, 64);
	for (int i = 0; i < stream->ntopics; i++)
	{
		buffer_append_char(&names, i == 0 ? '{' : ',');
		append_quoted(&names, stream->topics[i].name);
		buffer_append_char(&numbers, i == 0 ? '{' : ',');
		if (stream->topics[i].known)
			buffer_append_number(&numbers, (uint64_t) stream->topics[i].last);
		else
			buffer_append_text(&numbers, "NULL");
	}
	buffer_append_char(&names, '}');
	buffer_append_char(&numbers, '}');
	stream->values[0] = buffer_terminate(&names);
	stream->values[1] = buffer_terminate(&numbers);
	stream->query.statement.sql = replay_sql;
	stream->query.values = stream->values;
	stream->query.nvalues = 2;
	stream->query.done = on_replay;
	if (!pg_pool_submit(call->context->pools[POOL_READ], &stream->query))
	{
		stream->ending = stream->ended = true;
		respond_error(call, ERROR_unavailable, NULL, "the database is too busy");
	}
}
