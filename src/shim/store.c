/*-------------------------------------------------------------------------
 *
 * store.c
 *	  Files that clients upload, named by their content.
 *
 * Owns the directory of uploads and the one thread that writes into it, so
 * that no event loop waits for a disk.  A file is written under a name of its
 * own, hashed and synced, and gets the name of its SHA-256 when it is to be
 * kept; the same content is one file.  Nothing is ever removed that was kept,
 * since other rows may name it.  Knows nothing of requests.
 *
 *-------------------------------------------------------------------------
 */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <h2o/memory.h>
#include <h2o/socket.h>

#include "hash.h"

#define PART_PREFIX	   ".part-"
#define PART_TEMPLATE  PART_PREFIX "XXXXXX"
#define BODY_TEMPLATE  "/.body-XXXXXX"
#define PART_LIFE	   86400 /* seconds after which what a crash has left is removed */
#define BODY_IN_MEMORY (2 << 20)

/* what tells a loop that a step is done; its job is NULL when nobody wants to know any more */
typedef struct StoreMessage
{
	h2o_multithread_message_t super;
	StoreJob				 *job;
} StoreMessage;

static int			   directory_fd = -1;
static char			   directory_name[PATH_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  has_work = PTHREAD_COND_INITIALIZER;
static pthread_cond_t  has_finished = PTHREAD_COND_INITIALIZER;
static h2o_linklist_t  queue;

/* remove_leftovers removes what servers that crashed were writing. */
static void
remove_leftovers(void)
{
	DIR			  *stream = opendir(directory_name);
	struct dirent *entry;
	struct stat	   status;

	while (stream && (entry = readdir(stream)) != NULL)
	{
		if (strncmp(entry->d_name, PART_PREFIX, strlen(PART_PREFIX)) == 0 &&
			fstatat(directory_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
			status.st_mtime < time(NULL) - PART_LIFE)
			unlinkat(directory_fd, entry->d_name, 0);
	}
	if (stream)
		closedir(stream);
}

static int
write_all(int fd, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t written = write(fd, data, len);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return errno;
		data += written;
		len -= (size_t) written;
	}
	return fsync(fd) == 0 ? 0 : errno;
}

/* run_write hashes the data and writes them to a file that nobody else can read. */
static int
run_write(StoreJob *job)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char	  digest[SHA256_LENGTH];
	char			  path[PATH_MAX + sizeof(PART_TEMPLATE) + 1];
	int				  fd;
	int				  error;

	hash_sha256(job->data, job->len, digest);
	for (int i = 0; i < SHA256_LENGTH; i++)
	{
		job->key[2 * i] = hex[digest[i] >> 4];
		job->key[2 * i + 1] = hex[digest[i] & 15];
	}
	job->key[STORE_KEY_LENGTH] = '\0';
	snprintf(path, sizeof(path), "%s/" PART_TEMPLATE, directory_name);
	fd = mkostemp(path, O_CLOEXEC); /* O_EXCL, mode 0600 */
	if (fd < 0)
		return errno;
	strcpy(job->part, path + strlen(directory_name) + 1);
	error = write_all(fd, job->data, job->len);
	if (close(fd) != 0 && error == 0)
		error = errno;
	if (error == 0)
		return 0;
	unlinkat(directory_fd, job->part, 0);
	job->part[0] = '\0';
	return error;
}

/* run_keep gives the file its lasting name, in a directory named by the first two characters. */
static int
run_keep(StoreJob *job)
{
	char shelf[3] = {job->key[0], job->key[1], '\0'};
	char name[STORE_KEY_LENGTH + 4];
	int	 shelf_fd;
	int	 error = 0;

	snprintf(name, sizeof(name), "%s/%s", shelf, job->key);
	if (mkdirat(directory_fd, shelf, 0700) == 0)
		fsync(directory_fd);
	else if (errno != EEXIST)
		return errno;
	if (renameat(directory_fd, job->part, directory_fd, name) != 0)
		return errno;
	job->part[0] = '\0';
	shelf_fd = openat(directory_fd, shelf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (shelf_fd < 0 || fsync(shelf_fd) != 0)
		error = errno;
	if (shelf_fd >= 0)
		close(shelf_fd);
	return error;
}

static void *
store_main(void *unused)
{
	pthread_mutex_lock(&lock);
	for (;;)
	{
		StoreJob *job;
		int		  error;

		while (h2o_linklist_is_empty(&queue))
			pthread_cond_wait(&has_work, &lock);
		job = H2O_STRUCT_FROM_MEMBER(StoreJob, link, queue.next);
		h2o_linklist_unlink(&job->link);
		job->state = STORE_RUNNING;
		pthread_mutex_unlock(&lock);
		error = job->keeping ? run_keep(job) : run_write(job);
		pthread_mutex_lock(&lock);
		job->error = error;
		job->state = STORE_DONE;
		h2o_multithread_send_message(&job->thread->receiver, &job->message->super);
		pthread_cond_broadcast(&has_finished);
	}
	return NULL;
}

static void
on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
	while (!h2o_linklist_is_empty(messages))
	{
		StoreMessage *message = H2O_STRUCT_FROM_MEMBER(StoreMessage, super.link, messages->next);
		StoreJob	 *job = message->job;

		h2o_linklist_unlink(&message->super.link);
		free(message);
		if (job == NULL)
			continue;
		job->message = NULL;
		job->state = STORE_IDLE;
		job->done(job);
	}
}

/*
 * store_init takes a directory into use.  Bodies of requests that are longer
 * than usual then lie in it as well, in files without a name that libh2o maps
 * into memory.  Returns NULL, or what is wrong.
 */
const char *
store_init(const char *directory)
{
	pthread_t thread;

	if (strlen(directory) + sizeof(BODY_TEMPLATE) > sizeof(h2o_socket_buffer_mmap_settings.fn_template))
		return "its name is too long";
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0 || faccessat(directory_fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0)
		return strerror(errno);
	strcpy(directory_name, directory);
	strcpy(h2o_socket_buffer_mmap_settings.fn_template, directory);
	strcat(h2o_socket_buffer_mmap_settings.fn_template, BODY_TEMPLATE);
	h2o_socket_buffer_mmap_settings.threshold = BODY_IN_MEMORY;
	remove_leftovers();
	h2o_linklist_init_anchor(&queue);
	if (pthread_create(&thread, NULL, store_main, NULL) != 0)
		return "there can be no thread for it";
	return NULL;
}

bool
store_is_on(void)
{
	return directory_fd >= 0;
}

/* store_thread_init is called by each thread that has jobs. */
void
store_thread_init(StoreThread *thread, h2o_multithread_queue_t *messages)
{
	memset(thread, 0, sizeof(*thread));
	h2o_multithread_register_receiver(messages, &thread->receiver, on_messages);
}

static void
submit(StoreJob *job, bool keeping)
{
	job->message = h2o_mem_alloc(sizeof(*job->message));
	memset(job->message, 0, sizeof(*job->message));
	job->message->job = job;
	job->keeping = keeping;
	memset(&job->link, 0, sizeof(job->link));
	pthread_mutex_lock(&lock);
	job->state = STORE_QUEUED;
	h2o_linklist_insert(&queue, &job->link);
	pthread_cond_signal(&has_work);
	pthread_mutex_unlock(&lock);
}

/* store_write hashes the data and writes them; done is called later. */
void
store_write(StoreJob *job)
{
	submit(job, false);
}

/* store_keep gives the file its lasting name; done is called later. */
void
store_keep(StoreJob *job)
{
	submit(job, true);
}

/* store_abandon: done will not be called, and the data may go.  What is written is kept or removed. */
void
store_abandon(StoreJob *job, bool keep)
{
	pthread_mutex_lock(&lock);
	while (job->state == STORE_RUNNING)
		pthread_cond_wait(&has_finished, &lock);
	if (job->state == STORE_QUEUED)
	{
		h2o_linklist_unlink(&job->link);
		free(job->message);
	}
	else if (job->message)
		job->message->job = NULL;
	job->message = NULL;
	job->state = STORE_IDLE;
	pthread_mutex_unlock(&lock);
	if (job->part[0] == '\0')
		return;
	if (!keep || run_keep(job) != 0)
		unlinkat(directory_fd, job->part, 0);
	job->part[0] = '\0';
}

/* store_open returns a descriptor of a file that was kept, or -1 if there is none. */
int
store_open(const char *key, size_t *size)
{
	char		name[STORE_KEY_LENGTH + 4];
	struct stat status;
	int			fd;

	if (directory_fd < 0 || strlen(key) != STORE_KEY_LENGTH || strspn(key, "0123456789abcdef") != STORE_KEY_LENGTH)
		return -1;
	snprintf(name, sizeof(name), "%.2s/%s", key, key);
	fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
	{
		close(fd);
		return -1;
	}
	*size = (size_t) status.st_size;
	return fd;
}
