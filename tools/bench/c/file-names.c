/*
 * Work on names: many empty files, a thousand to a directory, one after another.
 *
 *     file-names create DIRECTORY FILES     makes directories and files: DIRECTORY/d-000/file-00000
 *     file-names stat DIRECTORY FILES
 *     file-names rename DIRECTORY FILES     to DIRECTORY/d-000/renamed-00000
 *     file-names unlink DIRECTORY FILES     what was renamed
 *
 * Prints the nanoseconds that one file takes.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PER_DIRECTORY 1000

static const char *root;

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static const char *path_of(char *path, const char *what, long i) {
	snprintf(path, PATH_MAX, "%s/d-%03ld/%s-%05ld", root, i / PER_DIRECTORY, what, i);
	return path;
}

static int create(long i) {
	char path[PATH_MAX];
	if (i % PER_DIRECTORY == 0) {
		snprintf(path, sizeof path, "%s/d-%03ld", root, i / PER_DIRECTORY);
		if (mkdir(path, 0755))
			return -1;
	}
	int fd = open(path_of(path, "file", i), O_CREAT | O_EXCL | O_WRONLY, 0644);
	return fd < 0 ? -1 : close(fd);
}

static int look(long i) {
	char path[PATH_MAX];
	struct stat found;
	return stat(path_of(path, "file", i), &found);
}

static int move(long i) {
	char from[PATH_MAX], to[PATH_MAX];
	return rename(path_of(from, "file", i), path_of(to, "renamed", i));
}

static int discard(long i) {
	char path[PATH_MAX];
	return unlink(path_of(path, "renamed", i));
}

int main(int argc, char **argv) {
	static const struct {
		const char *name;
		int (*of)(long);
	} works[] = {{"create", create}, {"stat", look}, {"rename", move}, {"unlink", discard}};
	if (argc != 4)
		return 2;
	root = argv[2];
	long files = strtol(argv[3], 0, 10);
	for (size_t w = 0; w < sizeof works / sizeof *works && files > 0; w++) {
		if (strcmp(argv[1], works[w].name))
			continue;
		double start = now();
		for (long i = 0; i < files; i++) {
			if (works[w].of(i)) {
				perror(works[w].name);
				return 1;
			}
		}
		printf("%.1f\n", (now() - start) / files);
		return 0;
	}
	return 2;
}
