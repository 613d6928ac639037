/* readdir(3): every name once, whatever happens to the directory meanwhile. */
#include "harness.h"

#include <sys/syscall.h>

static DIR *open_dir(const char *path)
{
	DIR *directory = opendir(path);

	CHECK(directory != NULL);
	return directory;
}

/* The next entry; NULL at the end. */
static struct dirent *next(DIR *directory)
{
	errno = 0;

	struct dirent *entry = readdir(directory);

	EQ(0, errno);
	return entry;
}

static bool is_dot(const struct dirent *entry)
{
	return !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
}

static void make_numbered(const char *path, const char *prefix, int from, int to)
{
	char name[300];

	for (int i = from; i < to; i++) {
		snprintf(name, sizeof name, "%s/%s%d", path, prefix, i);
		make_file(name);
	}
}

/* Reads the rest, and counts how often each "f<number>" comes. Others may be there. */
static void count_rest(DIR *directory, int *seen, int count)
{
	for (struct dirent *entry; (entry = next(directory));) {
		int number;

		if (sscanf(entry->d_name, "f%d", &number) != 1)
			continue;
		CHECK(number >= 0 && number < count);
		seen[number]++;
	}
}

CASE(dots, "a directory lists itself and its parent, once each, and nothing else when it is empty")
{
	int self = 0, parent = 0;

	make_dir("d");

	DIR *directory = open_dir("d");

	for (struct dirent *entry; (entry = next(directory));) {
		CHECK(is_dot(entry));
		self += !strcmp(entry->d_name, ".");
		parent += !strcmp(entry->d_name, "..");
	}
	EQ(1, self);
	EQ(1, parent);
	CHECK(next(directory) == NULL);
}

CASE(inodes_and_types, "entries give the inode number and type that stat gives")
{
	for (int type = 0; type < types_here(); type++)
		make_of_type(type, type_names[type]);
	make_file("f");
	OK(link("f", "g"));

	DIR *directory = open_dir(".");
	int count = 0;

	for (struct dirent *entry; (entry = next(directory)); count++) {
		context("%s", entry->d_name);

		struct stat status = stat_of(entry->d_name);

		if (strcmp(entry->d_name, ".."))
			EQ(status.st_ino, entry->d_ino);
		if (entry->d_type != DT_UNKNOWN)
			EQ(IFTODT(status.st_mode), entry->d_type);
	}
	EQ(types_here() + 4, count);
}

CASE(each_once, "500 names are each listed once")
{
	int seen[500] = {0};

	make_dir("d");
	make_numbered("d", "f", 0, 500);
	count_rest(open_dir("d"), seen, 500);
	for (int i = 0; i < 500; i++)
		EQ(1, seen[i]);
}

CASE(large, "10,000 names are each listed once, can each be found, and removed")
{
	static int seen[10000];
	char name[32];

	make_dir("d");
	make_numbered("d", "f", 0, 10000);
	count_rest(open_dir("d"), seen, 10000);
	for (int i = 0; i < 10000; i++)
		EQ(1, seen[i]);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "d/f%d", (i * 7919) % 10000);
		CHECK(exists(name));
		OK(unlink(name));
	}
	EQ(0, entries_of("d"));
	OK(rmdir("d"));
}

CASE(removing, "who removes each name as it is read removes all of them")
{
	make_dir("d");
	make_numbered("d", "f", 0, 2000);

	DIR *directory = open_dir("d");
	int count = 0;

	for (struct dirent *entry; (entry = next(directory));) {
		if (is_dot(entry))
			continue;
		OK(unlinkat(dirfd(directory), entry->d_name, 0));
		count++;
	}
	EQ(2000, count);
	OK(rmdir("d"));
}

CASE(renaming, "who renames each name as it is read comes to an end, and loses none")
{
	char name[300];
	int count = 0;

	make_dir("d");
	make_numbered("d", "f", 0, 500);

	DIR *directory = open_dir("d");

	for (struct dirent *entry; (entry = next(directory));) {
		if (is_dot(entry) || entry->d_name[0] == 'g')
			continue;
		snprintf(name, sizeof name, "g%s", entry->d_name);
		OK(renameat(dirfd(directory), entry->d_name, dirfd(directory), name));
		CHECK(++count <= 500);
	}
	EQ(500, count);
	EQ(500, entries_of("d"));
}

CASE(while_changing, "names that stay are listed once while others come and go")
{
	char name[32];
	int seen[1000] = {0};

	make_dir("d");
	make_numbered("d", "f", 0, 1000);
	make_numbered("d", "old", 0, 1000);

	DIR *directory = open_dir("d");

	for (int read = 0; read < 1500; read++) {
		struct dirent *entry = next(directory);
		int number;

		if (!entry)
			break;
		if (sscanf(entry->d_name, "f%d", &number) == 1)
			seen[number]++;
		if (read >= 1000)
			continue;
		snprintf(name, sizeof name, "d/old%d", read);
		OK(unlink(name));
		snprintf(name, sizeof name, "d/new%d", read);
		make_file(name);
		if (read % 10)
			OK(unlink(name));
	}
	count_rest(directory, seen, 1000);
	for (int i = 0; i < 1000; i++)
		EQ(1, seen[i]);
}

CASE(while_others_change, "and also while another process makes, renames and removes them")
{
	make_dir("d");
	make_numbered("d", "f", 0, 500);
	BESIDE {
		char name[32], other[32];

		for (int i = 0; !reached(1); i++) {
			snprintf(name, sizeof name, "d/new%d", i % 300);
			snprintf(other, sizeof other, "d/renamed%d", i % 100);
			close(OK(open(name, O_CREAT | O_WRONLY, 0644)));
			if (i % 3 == 0)
				OK(unlink(name));
			else if (i % 3 == 1)
				OK(rename(name, other));
		}
	}
	for (int round = 0; round < 20; round++) {
		int seen[500] = {0};
		DIR *directory = open_dir("d");

		count_rest(directory, seen, 500);
		closedir(directory);
		for (int i = 0; i < 500; i++)
			EQ(1, seen[i]);
	}
	reach(1);
}

CASE(rewind, "rewinddir starts again, and sees what has been made and removed since")
{
	int seen[100] = {0};

	make_dir("d");
	make_numbered("d", "f", 0, 50);

	DIR *directory = open_dir("d");

	count_rest(directory, seen, 100);
	make_numbered("d", "f", 50, 100);
	OK(unlink("d/f0"));
	rewinddir(directory);
	memset(seen, 0, sizeof seen);
	count_rest(directory, seen, 100);
	EQ(0, seen[0]);
	for (int i = 1; i < 100; i++)
		EQ(1, seen[i]);
}

#define NAMES 500

CASE(positions, "seekdir to what telldir said goes on with the same name, from any place, in any order")
{
	static long positions[NAMES + 2];
	static char names[NAMES + 2][256];
	int count = 0;

	make_dir("d");
	make_numbered("d", "f", 0, NAMES);

	DIR *directory = open_dir("d");

	for (;;) {
		long position = telldir(directory);
		struct dirent *entry = next(directory);

		if (!entry)
			break;
		CHECK(count < NAMES + 2);
		positions[count] = position;
		snprintf(names[count++], sizeof names[0], "%s", entry->d_name);
	}
	EQ(NAMES + 2, count);
	for (int i = 0; i < count; i++) {
		int at = i * 7919 % count;

		context("entry %d of %d", at, count);
		seekdir(directory, positions[at]);

		struct dirent *entry = next(directory);

		CHECK(entry != NULL);
		SAME(names[at], entry->d_name);
	}
}

CASE(positions_stay, "a position holds when other names go and come, and when the directory is opened again")
{
	int seen[1000] = {0}, before[1000] = {0};
	char name[32];

	make_dir("d");
	make_numbered("d", "f", 0, 1000);

	DIR *directory = open_dir("d");

	for (int read = 0; read < 300; read++) {
		struct dirent *entry = next(directory);
		int number;

		if (sscanf(entry->d_name, "f%d", &number) == 1)
			before[number]++;
	}

	long position = telldir(directory);

	for (int i = 0; i < 1000; i += 3) {
		snprintf(name, sizeof name, "d/f%d", i);
		OK(unlink(name));
	}
	make_numbered("d", "other", 0, 300);
	for (int pass = 0; pass < 2; pass++) {
		context("pass %d", pass);
		seekdir(directory, position);
		memset(seen, 0, sizeof seen);
		count_rest(directory, seen, 1000);
		for (int i = 0; i < 1000; i++)
			if (i % 3)
				EQ(1 - before[i], seen[i]);
		if (pass == 0) {
			closedir(directory);
			directory = open_dir("d");
		}
	}
}

CASE(two_streams, "two streams of a directory don't disturb each other; a child shares the place of an inherited one")
{
	int first[200] = {0}, second[200] = {0};

	make_dir("d");
	make_numbered("d", "f", 0, 200);

	DIR *one = open_dir("d"), *other = open_dir("d");

	for (int i = 0; i < 100; i++)
		next(one);
	count_rest(other, second, 200);
	for (int i = 0; i < 200; i++)
		EQ(1, second[i]);
	count_rest(one, first, 200);

	int rest = 0;

	for (int i = 0; i < 200; i++)
		rest += first[i];
	CHECK(rest >= 100 && rest <= 102);
}

CASE(small_buffers, "getdents works with room for one entry only, and is EINVAL with less")
{
	char buffer[400];
	int count = 0;
	long length;

	make_dir("d");
	make_numbered("d", "a name that takes some room, so that no two of them fit, number ", 0, 50);

	int fd = OK(open("d", O_RDONLY | O_DIRECTORY));

	FAILS(EINVAL, syscall(SYS_getdents64, fd, buffer, 10));
	while ((length = OK(syscall(SYS_getdents64, fd, buffer, 120)))) {
		for (long at = 0; at < length;) {
			struct dirent64 *entry = (struct dirent64 *)(buffer + at);

			CHECK(entry->d_reclen > 0);
			count += entry->d_name[0] == 'a';
			at += entry->d_reclen;
		}
	}
	EQ(50, count);
	EQ(0, OK(lseek(fd, 0, SEEK_SET)));
	CHECK(OK(syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0);
}

CASE(other_types, "what isn't a directory can't be listed")
{
	char buffer[400];

	make_file("f");
	CHECK(opendir("f") == NULL);
	EQ(ENOTDIR, errno);
	CHECK(opendir("missing") == NULL);
	EQ(ENOENT, errno);

	int fd = OK(open("f", O_RDONLY));

	FAILS(ENOTDIR, syscall(SYS_getdents64, fd, buffer, sizeof buffer));
}

CASE(removed_directory, "a directory that is removed while it is read comes to an end")
{
	make_dir("d");
	make_file("d/f");

	DIR *directory = open_dir("d");

	OK(unlink("d/f"));
	OK(rmdir("d"));
	errno = 0;
	for (int i = 0; readdir(directory); i++)
		CHECK(i < 10);
	CHECK(errno == 0 || errno == ENOENT);
	rewinddir(directory);
	errno = 0;
	CHECK(readdir(directory) == NULL);
	CHECK(errno == 0 || errno == ENOENT);
}

CASE(moved_directory, "a directory can be renamed while it is read")
{
	int seen[500] = {0};

	make_dir("d");
	make_dir("e");
	make_numbered("d", "f", 0, 500);

	DIR *directory = open_dir("d");

	for (int i = 0; i < 10; i++) {
		struct dirent *entry = next(directory);
		int number;

		if (sscanf(entry->d_name, "f%d", &number) == 1)
			seen[number]++;
	}
	OK(rename("d", "e/moved"));
	count_rest(directory, seen, 500);
	for (int i = 0; i < 500; i++)
		EQ(1, seen[i]);
}

CASE(new_names, "names made before the directory is opened are all listed, also right after many were removed")
{
	make_dir("d");
	for (int round = 0; round < 5; round++) {
		char name[32];

		context("round %d", round);
		make_numbered("d", "f", 0, 400);
		EQ(400, entries_of("d"));
		for (int i = 0; i < 400; i++) {
			snprintf(name, sizeof name, "d/f%d", i);
			OK(unlink(name));
		}
		EQ(0, entries_of("d"));
	}
}
