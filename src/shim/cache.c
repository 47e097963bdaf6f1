/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  Answers that are the same for every anonymous caller, in memory.
 *
 * Owns the entries, which all threads share, and a version for each tag. An
 * entry is good as long as its tags have the versions that were noted before
 * its query was sent; so whatever changes in between, an old answer never
 * counts. Two tags may share a version, which only forgets more than need
 * be. Bounded in bytes; the least recently used goes first. Never sees a
 * private answer: that is the caller's duty.
 *
 *-------------------------------------------------------------------------
 */
#include "cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <h2o/memory.h>

#include "hash.h"
#include "metrics.h"

#define SHARDS		16
#define BUCKETS		1024 /* a shard */
#define TAGS		16384

#define KIND_TARGET 1
#define KIND_TAG	2

typedef struct CacheShard
{
	pthread_mutex_t lock;
	size_t			bytes;
	CacheEntry	   *buckets[BUCKETS];
	CacheEntry	   *newest;
	CacheEntry	   *oldest;
} CacheShard;

static size_t			shard_limit;
static CacheShard	   *shards;
static _Atomic uint64_t versions[TAGS + 1]; /* the last one is everything's */
static atomic_bool		is_enabled;

void
cache_init(size_t bytes)
{
	shard_limit = bytes / SHARDS;
	if (shard_limit == 0)
		return;
	shards = calloc(SHARDS, sizeof(CacheShard));
	if (shards == NULL)
		h2o_fatal("out of memory");
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&shards[i].lock, NULL);
}

/* cache_is_on: it is off as long as nobody would hear of changes. */
bool
cache_is_on(void)
{
	return atomic_load_explicit(&is_enabled, memory_order_acquire);
}

void
cache_enable(bool enabled)
{
	atomic_fetch_add(&versions[TAGS], 1);
	atomic_store(&is_enabled, enabled && shards != NULL);
}

static uint32_t
tag_slot(const char *tag, size_t len)
{
	return (uint32_t) (hash_bytes(tag, len, KIND_TAG) % TAGS);
}

/* stamp_tag notes the version of a tag in which {x} stands for a part of the path. */
static void
stamp_tag(const Endpoint *endpoint, const Route *route, const char *tag, CacheStamp *stamp)
{
	char   text[256];
	size_t len = 0;

	while (*tag != '\0' && len < sizeof(text))
	{
		const char *part = tag;
		size_t		part_len = 1;

		if (*tag == '{')
		{
			size_t name_len = strcspn(tag + 1, "}");

			part_len = 0;
			for (int i = 0; i < endpoint->nargs; i++)
			{
				const Argument *arg = &endpoint->args[i];

				if (arg->path_segment >= 0 && arg->name_len == name_len && memcmp(arg->name, tag + 1, name_len) == 0)
				{
					part = route->segments[arg->path_segment].text;
					part_len = route->segments[arg->path_segment].len;
				}
			}
			tag += name_len + 1;
		}
		for (size_t i = 0; i < part_len && len < sizeof(text); i++)
		{
			/* the database writes UUIDs in lower case */
			text[len++] = part[i] >= 'A' && part[i] <= 'Z' ? (char) (part[i] - 'A' + 'a') : part[i];
		}
		if (*tag != '\0')
			tag++;
	}
	stamp->slots[stamp->ntags++] = tag_slot(text, len);
}

void
cache_stamp(const Endpoint *endpoint, const Route *route, CacheStamp *stamp)
{
	stamp->ntags = 0;
	for (const char **tag = endpoint->cache_tags; *tag && stamp->ntags < CACHE_MAX_TAGS; tag++)
		stamp_tag(endpoint, route, *tag, stamp);
	stamp->slots[stamp->ntags++] = TAGS;
	for (int i = 0; i < stamp->ntags; i++)
		stamp->versions[i] = atomic_load(&versions[stamp->slots[i]]);
}

bool
cache_stamp_is_good(const CacheStamp *stamp)
{
	for (int i = 0; i < stamp->ntags; i++)
	{
		if (atomic_load(&versions[stamp->slots[i]]) != stamp->versions[i])
			return false;
	}
	return true;
}

static void
unlink_use(CacheShard *shard, CacheEntry *entry)
{
	*(entry->newer ? &entry->newer->older : &shard->newest) = entry->older;
	*(entry->older ? &entry->older->newer : &shard->oldest) = entry->newer;
}

static void
link_newest(CacheShard *shard, CacheEntry *entry)
{
	entry->newer = NULL;
	entry->older = shard->newest;
	*(shard->newest ? &shard->newest->newer : &shard->oldest) = entry;
	shard->newest = entry;
}

static CacheEntry **
bucket_of(CacheShard *shard, uint64_t hash)
{
	return &shard->buckets[hash / SHARDS % BUCKETS];
}

static void
remove_entry(CacheShard *shard, CacheEntry *entry)
{
	CacheEntry **place = bucket_of(shard, entry->hash);

	while (*place != entry)
		place = &(*place)->next;
	*place = entry->next;
	unlink_use(shard, entry);
	shard->bytes -= entry->size;
	metrics_add(METRIC_CACHE_BYTES, -(int64_t) entry->size);
	metrics_add(METRIC_CACHE_ENTRIES, -1);
	cache_release(entry);
}

static CacheEntry *
find_entry(CacheShard *shard, uint64_t hash, const char *target, size_t len)
{
	CacheEntry *entry = *bucket_of(shard, hash);

	while (entry && (entry->hash != hash || entry->target_len != len || memcmp(entry->target, target, len) != 0))
		entry = entry->next;
	return entry;
}

CacheEntry *
cache_hold(CacheEntry *entry)
{
	atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
	return entry;
}

void
cache_release(CacheEntry *entry)
{
	if (atomic_fetch_sub_explicit(&entry->references, 1, memory_order_acq_rel) == 1)
		free(entry);
}

/* cache_find returns an entry that is good now, held for the caller, or NULL. */
CacheEntry *
cache_find(const char *target, size_t len, uint64_t now)
{
	uint64_t	hash = hash_bytes(target, len, KIND_TARGET);
	CacheShard *shard = &shards[hash % SHARDS];
	CacheEntry *entry;

	pthread_mutex_lock(&shard->lock);
	entry = find_entry(shard, hash, target, len);
	if (entry && (now >= entry->expires_at || !cache_stamp_is_good(&entry->stamp)))
	{
		remove_entry(shard, entry);
		entry = NULL;
	}
	if (entry)
	{
		if (entry->newer)
		{
			unlink_use(shard, entry);
			link_newest(shard, entry);
		}
		cache_hold(entry);
	}
	pthread_mutex_unlock(&shard->lock);
	return entry;
}

static char *
put(CacheEntry *entry, size_t *used, const char *data, size_t len)
{
	char *copy = entry->data + *used;

	if (data == NULL)
		return NULL;
	memcpy(copy, data, len);
	*used += len;
	return copy;
}

/* cache_store keeps a copy of an answer, unless something it depends on has changed since the stamp. */
void
cache_store(const CacheAnswer *answer, const CacheStamp *stamp, uint64_t now, int seconds)
{
	size_t		size = sizeof(CacheEntry) + answer->target_len + answer->body_len + answer->headers_len;
	uint64_t	hash = hash_bytes(answer->target, answer->target_len, KIND_TARGET);
	CacheShard *shard = &shards[hash % SHARDS];
	CacheEntry *entry;
	CacheEntry *old;
	size_t		used = 0;

	for (int i = 0; i < PACKING_COUNT; i++)
		size += answer->packed[i].len;
	if (size > shard_limit / 4 || !cache_stamp_is_good(stamp))
		return;
	entry = h2o_mem_alloc(size);
	memset(entry, 0, sizeof(*entry));
	atomic_init(&entry->references, 1);
	entry->hash = hash;
	entry->size = size;
	entry->stamp = *stamp;
	entry->stored_at = now;
	entry->expires_at = now + (uint64_t) seconds * 1000;
	strncpy(entry->etag, answer->etag, sizeof(entry->etag) - 1);
	entry->target = put(entry, &used, answer->target, answer->target_len);
	entry->target_len = answer->target_len;
	entry->body = put(entry, &used, answer->body, answer->body_len);
	entry->body_len = answer->body_len;
	for (int i = 0; i < PACKING_COUNT; i++)
	{
		entry->packed[i].data = put(entry, &used, answer->packed[i].data, answer->packed[i].len);
		entry->packed[i].len = answer->packed[i].len;
	}
	entry->headers = put(entry, &used, answer->headers, answer->headers_len);
	entry->headers_len = answer->headers_len;

	pthread_mutex_lock(&shard->lock);
	old = find_entry(shard, hash, answer->target, answer->target_len);
	if (old)
		remove_entry(shard, old);
	while (shard->oldest && shard->bytes + size > shard_limit)
	{
		remove_entry(shard, shard->oldest);
		metrics_add(METRIC_CACHE_EVICTED, 1);
	}
	entry->next = *bucket_of(shard, hash);
	*bucket_of(shard, hash) = entry;
	link_newest(shard, entry);
	shard->bytes += size;
	pthread_mutex_unlock(&shard->lock);
	metrics_add(METRIC_CACHE_BYTES, (int64_t) size);
	metrics_add(METRIC_CACHE_ENTRIES, 1);
}

/* cache_drop forgets all that depends on these tags, which blanks separate; "*" is everything. */
void
cache_drop(const char *tags, size_t len)
{
	const char *end = tags + len;

	while (tags < end)
	{
		const char *blank = memchr(tags, ' ', (size_t) (end - tags));
		size_t		tag_len = (size_t) ((blank ? blank : end) - tags);

		if (tag_len == 1 && *tags == '*')
			atomic_fetch_add(&versions[TAGS], 1);
		else if (tag_len > 0)
			atomic_fetch_add(&versions[tag_slot(tags, tag_len)], 1);
		tags += tag_len + 1;
	}
}
