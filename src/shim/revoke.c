/*-------------------------------------------------------------------------
 *
 * revoke.c
 *	  Credentials that were ended before their time, and API keys that were good a moment ago.
 *
 * Owns the list of revoked sessions, users and keys, which the database
 * tells of by NOTIFY, and a small table of API keys that it has verified.
 * An entry of the list ends what was issued, or verified, until its time; it
 * is forgotten when every access token of that time has expired. Shared by
 * all threads; while the list is empty nobody takes a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "revoke.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <h2o/memory.h>

#include "hash.h"

#define KEY_SLOTS	1024
#define KEY_SECONDS 5 /* after which a key is verified again */
#define KIND_ID		3

typedef struct Revocation
{
	struct Revocation *next;
	char			   id[UUID_LENGTH + 1];
	int64_t			   revoked_at; /* seconds since 1970 */
} Revocation;

typedef struct VerifiedKey
{
	bool		  used;
	unsigned char hash[KEY_HASH_LENGTH];
	Actor		  actor;
	time_t		  until;
} VerifiedKey;

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static Revocation	  **buckets;
static size_t			nbuckets;
static atomic_size_t	count;
static int				lifetime;

static pthread_mutex_t key_lock = PTHREAD_MUTEX_INITIALIZER;
static VerifiedKey	   keys[KEY_SLOTS];

void
revoke_init(int access_ttl)
{
	lifetime = access_ttl + KEY_SECONDS + 60;
	nbuckets = 64;
	buckets = calloc(nbuckets, sizeof(Revocation *));
	if (buckets == NULL)
		h2o_fatal("out of memory");
}

static Revocation **
bucket_of(Revocation **table, size_t size, const char *id)
{
	return &table[hash_bytes(id, strlen(id), KIND_ID) % size];
}

/* rebuild forgets what is too old to matter, and makes room. */
static void
rebuild(time_t now)
{
	size_t		 size = nbuckets;
	size_t		 kept = 0;
	Revocation **table;
	Revocation	*all = NULL;

	for (size_t i = 0; i < nbuckets; i++)
	{
		while (buckets[i])
		{
			Revocation *entry = buckets[i];

			buckets[i] = entry->next;
			if (entry->revoked_at + lifetime < now)
				free(entry);
			else
			{
				entry->next = all;
				all = entry;
				kept++;
			}
		}
	}
	while (kept >= size / 2)
		size *= 2;
	table = calloc(size, sizeof(Revocation *));
	if (table == NULL)
		h2o_fatal("out of memory");
	while (all)
	{
		Revocation	*entry = all;
		Revocation **bucket = bucket_of(table, size, entry->id);

		all = entry->next;
		entry->next = *bucket;
		*bucket = entry;
	}
	free(buckets);
	buckets = table;
	nbuckets = size;
	atomic_store(&count, kept);
}

/* revoke_add: what was issued to that session or user, or verified of that key, until then is not good any more. */
void
revoke_add(const char *id, int64_t revoked_at)
{
	Revocation **bucket;
	Revocation	*entry;

	pthread_rwlock_wrlock(&lock);
	for (entry = *bucket_of(buckets, nbuckets, id); entry && strcmp(entry->id, id) != 0; entry = entry->next)
		;
	if (entry)
	{
		if (entry->revoked_at < revoked_at)
			entry->revoked_at = revoked_at;
	}
	else
	{
		if (count >= nbuckets)
			rebuild(time(NULL));
		entry = h2o_mem_alloc(sizeof(*entry));
		memset(entry, 0, sizeof(*entry));
		strncpy(entry->id, id, UUID_LENGTH);
		entry->revoked_at = revoked_at;
		bucket = bucket_of(buckets, nbuckets, id);
		entry->next = *bucket;
		*bucket = entry;
		atomic_fetch_add(&count, 1);
	}
	pthread_rwlock_unlock(&lock);
}

static bool
is_revoked(const char *id, int64_t issued_at)
{
	for (const Revocation *entry = *bucket_of(buckets, nbuckets, id); entry; entry = entry->next)
	{
		if (strcmp(entry->id, id) == 0)
			return issued_at <= entry->revoked_at;
	}
	return false;
}

bool
revoke_applies(const Actor *actor)
{
	bool revoked;

	if (atomic_load_explicit(&count, memory_order_acquire) == 0)
		return false;
	pthread_rwlock_rdlock(&lock);
	revoked = is_revoked(actor->user_id, actor->issued_at) ||
			  (actor->session_id[0] != '\0' && is_revoked(actor->session_id, actor->issued_at)) ||
			  (actor->key_id[0] != '\0' && is_revoked(actor->key_id, actor->issued_at));
	pthread_rwlock_unlock(&lock);
	return revoked;
}

static VerifiedKey *
key_slot(const unsigned char hash[KEY_HASH_LENGTH])
{
	return &keys[(hash[0] << 8 | hash[1]) % KEY_SLOTS];
}

/* key_cache_find gives the owner of a key that was verified in the last seconds. */
bool
key_cache_find(const unsigned char hash[KEY_HASH_LENGTH], Actor *actor)
{
	VerifiedKey *key = key_slot(hash);
	bool		 found;

	pthread_mutex_lock(&key_lock);
	found = key->used && memcmp(key->hash, hash, KEY_HASH_LENGTH) == 0 && time(NULL) < key->until;
	if (found)
		*actor = key->actor;
	pthread_mutex_unlock(&key_lock);
	return found && !revoke_applies(actor);
}

/* key_cache_store keeps a verified key; seconds_left is negative for one without an end. */
void
key_cache_store(const unsigned char hash[KEY_HASH_LENGTH], const Actor *actor, double seconds_left)
{
	VerifiedKey *key = key_slot(hash);
	int			 seconds = KEY_SECONDS;

	if (seconds_left >= 0 && seconds_left < seconds)
		seconds = (int) seconds_left;
	pthread_mutex_lock(&key_lock);
	key->used = true;
	memcpy(key->hash, hash, KEY_HASH_LENGTH);
	key->actor = *actor;
	key->until = time(NULL) + seconds;
	pthread_mutex_unlock(&key_lock);
}
