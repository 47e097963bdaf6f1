/*-------------------------------------------------------------------------
 *
 * static.c
 *	  The page that shows the API document, from files.
 *
 * Owns the files of one directory, read once at the start and kept in
 * memory.  A request's path is compared with their names and never becomes
 * the name of a file, so it reaches nothing else.  Knows nothing of what the
 * files hold.
 *
 *-------------------------------------------------------------------------
 */
#include "static.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "log.h"
#include "respond.h"

#define PREFIX		  "/api/docs"
#define INDEX		  "index.html"
#define MAX_FILES	  64
#define MAX_FILE_SIZE (16 << 20)
#define ETAG_BYTES	  16

/* scripts and styles come from here and nowhere else; pictures may stand in the styles */
#define PAGE_POLICY                                                                   \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " \
	"font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

typedef struct File
{
	char	   *name;
	const char *type;
	h2o_iovec_t body;
	char		etag[2 * ETAG_BYTES + 3];
} File;

static File files[MAX_FILES];
static int	nfiles;

static void
die(const char *path, const char *why)
{
	log_message(LOG_ERROR, NULL, "cannot read %s: %s", path, why);
	exit(1);
}

/* content_type returns NULL for what is not served. */
static const char *
content_type(const char *name)
{
	static const struct
	{
		const char *extension;
		const char *type;
	} types[] = {
		{".html", "text/html; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".png", "image/png"},
		{".svg", "image/svg+xml"},
		{".txt", "text/plain; charset=utf-8"},
	};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && name[0] != '.' && i < sizeof(types) / sizeof(types[0]); i++)
	{
		if (strcmp(dot, types[i].extension) == 0)
			return types[i].type;
	}
	return NULL;
}

static void
read_content(File *file, const char *path)
{
	int			fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	size_t		len;

	if (fd < 0 || fstat(fd, &status) != 0)
		die(path, strerror(errno));
	if (!S_ISREG(status.st_mode) || status.st_size > MAX_FILE_SIZE)
		die(path, "it is not a file, or too large");
	len = (size_t) status.st_size;
	file->body = h2o_iovec_init(h2o_mem_alloc(len + 1), len);
	for (size_t done = 0; done < len;)
	{
		ssize_t got = read(fd, file->body.base + done, len - done);

		if (got <= 0)
			die(path, got < 0 ? strerror(errno) : "it became shorter");
		done += (size_t) got;
	}
	close(fd);
}

static void
set_etag(File *file)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char		 *end = file->etag;

	SHA256((const unsigned char *) file->body.base, file->body.len, digest);
	*end++ = '"';
	for (int i = 0; i < ETAG_BYTES; i++)
		end += sprintf(end, "%02x", digest[i]);
	*end++ = '"';
	*end = '\0';
}

/* beside_program writes the directory "docs" next to the program's file.  False: there is none. */
static bool
beside_program(char directory[PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", directory, PATH_MAX - sizeof("docs"));
	char   *slash;

	if (len <= 0)
		return false;
	directory[len] = '\0';
	slash = strrchr(directory, '/');
	strcpy(slash + 1, "docs");
	return access(directory, F_OK) == 0;
}

/*
 * static_load reads the files of a directory, or ends the program.  With
 * NULL it takes the one beside the program, and serves nothing if there is
 * none.
 */
void
static_load(const char *directory)
{
	char		   beside[PATH_MAX];
	struct dirent *entry;
	DIR			  *stream;
	bool		   has_index = false;

	if (directory == NULL)
	{
		if (!beside_program(beside))
			return;
		directory = beside;
	}
	stream = opendir(directory);
	if (stream == NULL)
		die(directory, strerror(errno));
	while ((entry = readdir(stream)) != NULL)
	{
		char		path[2 * PATH_MAX];
		const char *type = content_type(entry->d_name);
		File	   *file = &files[nfiles];

		if (type == NULL)
			continue;
		if (nfiles == MAX_FILES)
			die(directory, "it holds too many files");
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		file->name = strdup(entry->d_name);
		if (file->name == NULL)
			h2o_fatal("out of memory");
		file->type = type;
		read_content(file, path);
		set_etag(file);
		has_index |= strcmp(file->name, INDEX) == 0;
		nfiles++;
	}
	closedir(stream);
	if (!has_index)
		die(directory, "it holds no " INDEX);
}

static const File *
find_file(const char *path, size_t len)
{
	const char *query = memchr(path, '?', len);
	const char *name;
	size_t		name_len;

	if (query)
		len = (size_t) (query - path);
	if (len < strlen(PREFIX) || memcmp(path, PREFIX, strlen(PREFIX)) != 0)
		return NULL;
	name = path + strlen(PREFIX);
	name_len = len - strlen(PREFIX);
	if (name_len > 0 && *name++ != '/')
		return NULL;
	if (name_len <= 1)
	{
		name = INDEX;
		name_len = strlen(INDEX);
	}
	else
		name_len--;
	for (int i = 0; i < nfiles; i++)
	{
		if (h2o_memis(name, name_len, files[i].name, strlen(files[i].name)))
			return &files[i];
	}
	return NULL;
}

static bool
client_has_it(const h2o_req_t *req, const File *file)
{
	ssize_t index = h2o_find_header(&req->headers, H2O_TOKEN_IF_NONE_MATCH, -1);

	return index != -1 && h2o_strstr(req->headers.entries[index].value.base, req->headers.entries[index].value.len,
									 file->etag, strlen(file->etag)) != SIZE_MAX;
}

/* static_answer answers if the path is that of a file.  False: it is another one. */
bool
static_answer(Call *call)
{
	h2o_req_t  *req = call->req;
	const File *file = find_file(req->input.path.base, req->input.path.len);
	h2o_iovec_t body;

	if (file == NULL)
		return false;
	if (!call->is_head && !h2o_memis(req->method.base, req->method.len, H2O_STRLIT("GET")))
	{
		respond_header(call, "allow", "GET, HEAD");
		respond_error(call, ERROR_method_not_allowed, NULL, "this path does not take this method");
		return true;
	}
	respond_header(call, "etag", file->etag);
	respond_header(call, "cache-control", "no-cache");
	respond_header(call, "content-security-policy", PAGE_POLICY);
	body = file->body;
	if (client_has_it(req, file))
		respond_body(call, 304, NULL, NULL, 0);
	else
		respond_body(call, 200, file->type, &body, 1);
	return true;
}
