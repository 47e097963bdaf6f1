/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  Rate limits: how many requests of one class a caller may make.
 *
 * Owns the buckets, which all threads share. A bucket is one number, the
 * time at which it will be full again (the generic cell rate algorithm): a
 * request moves it on by its share of the window, and is refused if that is
 * more than a window ahead. Memory is bounded: a set of eight slots that is
 * full gives up the one that is nearest to being full again.
 *
 *-------------------------------------------------------------------------
 */
#include "limit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <h2o/memory.h>

#define MAX_CLASSES 16
#define SETS		8192
#define WAYS		8
#define LOCKS		64
#define OWN_WINDOW	((uint64_t) 60 * 1000000000)

typedef struct LimitClass
{
	char	 name[32];
	char	 policy[80];
	int		 limit;
	uint64_t window;   /* nanoseconds */
	uint64_t interval; /* of one request */
} LimitClass;

typedef struct Bucket
{
	uint64_t caller;
	uint64_t full_at; /* 0: unused */
} Bucket;

static LimitClass classes[MAX_CLASSES];
static int		  nclasses;
static Bucket (*sets)[WAYS];
static pthread_mutex_t locks[LOCKS];

/*
 * limit_init reads "read=6000/60,write=600/60": class, requests, seconds.
 * Returns what is wrong with it, or NULL.
 */
const char *
limit_init(const char *text)
{
	sets = calloc(SETS, sizeof(*sets)); /* API keys have limits of their own even if classes have none */
	if (sets == NULL)
		return "out of memory";
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&locks[i], NULL);
	if (strcmp(text, "off") == 0)
		return NULL;
	while (*text != '\0')
	{
		LimitClass *class = &classes[nclasses];
		char name[32];
		int	 seconds = 0;
		int	 used = 0;

		if (nclasses == MAX_CLASSES)
			return "it names too many classes";
		if (sscanf(text, "%31[a-z_]=%d/%d%n", name, &class->limit, &seconds, &used) != 3 || used == 0 ||
			class->limit < 1 || class->limit > 1000000 || seconds < 1 || seconds > 86400 ||
			(text[used] != ',' && text[used] != '\0'))
			return "it must be off, or a list like read=6000/60,write=1200/60 (requests/seconds)";
		memcpy(class->name, name, sizeof(name));
		snprintf(class->policy, sizeof(class->policy), "\"%s\";q=%d;w=%d", name, class->limit, seconds);
		class->window = (uint64_t) seconds * 1000000000;
		class->interval = class->window / (uint64_t) class->limit;
		nclasses++;
		text += used + (text[used] == ',' ? 1 : 0);
	}
	return NULL;
}

/* limit_class is the number of a class, or -1 if it has no limit. */
int
limit_class(const char *name)
{
	for (int i = 0; i < nclasses; i++)
	{
		if (strcmp(classes[i].name, name) == 0)
			return i;
	}
	return -1;
}

/* bucket_find finds the caller's bucket, or the one that it may have. */
static Bucket *
bucket_find(Bucket *set, uint64_t caller)
{
	Bucket *oldest = &set[0];

	for (int i = 0; i < WAYS; i++)
	{
		if (set[i].caller == caller)
			return &set[i];
		if (set[i].full_at < oldest->full_at)
			oldest = &set[i];
	}
	oldest->caller = caller;
	oldest->full_at = 0;
	return oldest;
}

static void
take(uint64_t window, uint64_t interval, uint64_t caller, LimitState *state)
{
	size_t			set = caller % SETS;
	struct timespec clock;
	uint64_t		now;
	uint64_t		ahead;
	Bucket		   *bucket;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &clock);
	now = (uint64_t) clock.tv_sec * 1000000000 + (uint64_t) clock.tv_nsec;
	pthread_mutex_lock(&locks[set % LOCKS]);
	bucket = bucket_find(sets[set], caller);
	if (bucket->full_at < now)
		bucket->full_at = now;
	state->allowed = bucket->full_at + interval <= now + window;
	if (state->allowed)
		bucket->full_at += interval;
	ahead = bucket->full_at - now;
	pthread_mutex_unlock(&locks[set % LOCKS]);

	state->remaining = (int) ((window - ahead) / interval);
	state->reset = (int) ((ahead + 999999999) / 1000000000);
	state->retry_after = state->allowed ? 0 : (int) ((ahead + interval - window + 999999999) / 1000000000);
}

/* limit_take takes one request from the caller's bucket; caller is a hash that names class and caller. */
void
limit_take(int number, uint64_t caller, LimitState *state)
{
	const LimitClass *class = &classes[number];

	take(class->window, class->interval, caller, state);
	state->limit = class->limit;
	state->name = class->name;
	state->policy = class->policy;
}

/* limit_take_own does it for a caller with a limit of its own, in requests a minute. */
void
limit_take_own(int limit, uint64_t caller, LimitState *state)
{
	take(OWN_WINDOW, OWN_WINDOW / (uint64_t) limit, caller, state);
	snprintf(state->own_policy, sizeof(state->own_policy), "\"key\";q=%d;w=60", limit);
	state->limit = limit;
	state->name = "key";
	state->policy = state->own_policy;
}
