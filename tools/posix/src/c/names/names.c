/* Names and paths: how long they may be, what bytes they may have, and how they are told apart. */
#include "harness.h"

#include <limits.h>

/* A name of this many bytes. */
static const char *name_of_length(int length)
{
	static char name[2048];

	for (int i = 0; i < length; i++)
		name[i] = 'a' + i % 26;
	name[length] = 0;
	return name;
}

/* Whether a directory lists a name, and once only. */
static bool is_listed(const char *path, const char *name)
{
	DIR *directory = opendir(path);
	int count = 0;

	CHECK(directory != NULL);
	for (struct dirent *entry; (entry = readdir(directory));)
		count += !strcmp(entry->d_name, name);
	closedir(directory);
	CHECK(count <= 1);
	return count;
}

CASE(longest, "names as long as statvfs says can be made, listed, renamed and removed, for every type")
{
	char name[2048];

	snprintf(name, sizeof name, "%s", name_of_length(longest_name()));
	for (int type = 0; type < types_here(); type++) {
		if (type == SOCKET) /* its address is shorter */
			continue;
		context("%s", type_names[type]);
		make_of_type(type, name);
		CHECK(exists(name));
		CHECK(is_listed(".", name));
		OK(rename(name, "short"));
		CHECK(!exists(name));
		OK(rename("short", name));
		OK(type == DIRECTORY ? rmdir(name) : unlink(name));
		EQ(0, entries_of("."));
	}
}

CASE(too_long, "longer names are ENAMETOOLONG everywhere, and there is none")
{
	const char *name = name_of_length(longest_name() + 1);
	struct stat status;

	make_file("f");
	FAILS(ENAMETOOLONG, open(name, O_CREAT | O_WRONLY, 0644));
	FAILS(ENAMETOOLONG, open(name, O_RDONLY));
	FAILS(ENAMETOOLONG, lstat(name, &status));
	FAILS(ENAMETOOLONG, mkdir(name, 0755));
	FAILS(ENAMETOOLONG, symlink("x", name));
	FAILS(ENAMETOOLONG, mkfifo(name, 0644));
	FAILS(ENAMETOOLONG, link("f", name));
	FAILS(ENAMETOOLONG, rename("f", name));
	FAILS(ENAMETOOLONG, unlink(name));
	FAILS(ENAMETOOLONG, rmdir(name));
	OK(symlink(name, "s"));
	FAILS(ENAMETOOLONG, stat("s", &status));
	EQ(2, entries_of("."));
}

CASE(every_length, "names of every length from 1 to 255 are different files")
{
	for (int length = 1; length <= 255; length++)
		make_file(name_of_length(length));
	EQ(255, entries_of("."));
	for (int length = 255; length > 0; length--) {
		CHECK(exists(name_of_length(length)));
		OK(unlink(name_of_length(length)));
		CHECK(!exists(name_of_length(length)));
	}
	EQ(0, entries_of("."));
}

CASE(every_byte, "a name may have any byte but 0 and '/'")
{
	char name[4];

	for (int byte = 1; byte < 256; byte++) {
		if (byte == '/' || byte == '.')
			continue;
		snprintf(name, sizeof name, "%c", byte);
		write_text(name, name);
		snprintf(name, sizeof name, "x%c", byte);
		make_file(name);
	}
	EQ(2 * 253, entries_of("."));
	for (int byte = 1; byte < 256; byte++) {
		if (byte == '/' || byte == '.')
			continue;
		context("byte 0x%02x", byte);
		snprintf(name, sizeof name, "%c", byte);
		CHECK(is_listed(".", name));
		SAME(name, text_of(name));
	}
}

CASE(told_apart, "names that differ in case, composition, dots or spaces are different names")
{
	static const char *const names[] = {
		"a", "A", "a ", " a", "a.", ".a", "..a", "...", "a\n", "a\t", "\303\251", "e\314\201", "\303\211", "\377\376",
		"aa", "a\\", "con", "NUL", "a:b", "a;b", "*", "~", "-rf",
	};

	for (int i = 0; i < ARRAY_LENGTH(names); i++) {
		context("\"%s\"", names[i]);
		OK(open(names[i], O_CREAT | O_EXCL | O_WRONLY, 0644));
	}
	EQ(ARRAY_LENGTH(names), entries_of("."));
	for (int i = 0; i < ARRAY_LENGTH(names); i++) {
		context("\"%s\"", names[i]);
		CHECK(is_listed(".", names[i]));
		OK(unlink(names[i]));
		CHECK(!exists(names[i]));
	}
}

CASE(slashes_and_dots, "slashes count once, a dot is the directory, two are its parent")
{
	make_dir("d");
	make_dir("d/e");
	make_file("d/e/f");

	long inode = inode_of("d/e/f");

	EQ(inode, inode_of("d//e///f"));
	EQ(inode, inode_of("./d/./e/./f"));
	EQ(inode, inode_of("d/../d/e/../e/f"));
	EQ(inode_of("d"), inode_of("d/e/.."));
	EQ(inode_of("d"), inode_of("d/e/../"));
	EQ(inode_of("d"), inode_of("d//"));
}

CASE(trailing_slash, "a slash behind a name asks for a directory")
{
	struct stat status;

	make_file("f");
	make_dir("d");
	OK(lstat("d/", &status));
	FAILS(ENOTDIR, lstat("f/", &status));
	FAILS(ENOTDIR, open("f/", O_RDONLY));
	FAILS(ENOTDIR, stat("f/.", &status));
	FAILS(ENOTDIR, stat("f/..", &status));
	FAILS(ENOTDIR, stat("f/x", &status));
	FAILS(ENOTDIR, chmod("f/", 0644));
	FAILS(ENOTDIR, truncate("f/", 0));
	FAILS(ENOENT, stat("missing/", &status));
}

/* A relative path of `length` bytes to "f" in nested directories, which are made. */
static const char *long_path(int length)
{
	static char path[8192];
	int here = OK(open(".", O_RDONLY | O_DIRECTORY)), at = 0;

	while (at + 256 < length) {
		const char *name = name_of_length(255);

		OK(mkdir(name, 0755));
		OK(chdir(name));
		at += sprintf(path + at, "%s/", name);
	}
	memset(path + at, '/', length - at - 1);
	strcpy(path + length - 1, "f");
	make_file("f");
	OK(fchdir(here));
	close(here);
	return path;
}

CASE(longest_path, "a path of 4095 bytes can be used")
{
	const char *path = long_path(PATH_MAX - 1);
	char target[8];

	EQ(PATH_MAX - 1, strlen(path));
	close(OK(open(path, O_RDWR)));
	OK(chmod(path, 0600));
	OK(rename(path, "g"));
	OK(symlink("target", path));
	OK(readlink(path, target, sizeof target));
	OK(unlink(path));
	OK(mkdir(path, 0755));
	OK(rmdir(path));
}

CASE(too_long_path, "a path of 4096 bytes is ENAMETOOLONG, though each name in it is short enough")
{
	const char *path = long_path(PATH_MAX);
	struct stat status;

	FAILS(ENAMETOOLONG, open(path, O_RDWR));
	FAILS(ENAMETOOLONG, stat(path, &status));
	FAILS(ENAMETOOLONG, unlink(path));
	FAILS(ENAMETOOLONG, mkdir(path, 0755));
	FAILS(ENAMETOOLONG, rename(path, "g"));
}

CASE(deeper_than_paths, "directories may nest deeper than a path is long: what is there is reached step by step")
{
	const char *name = name_of_length(250);

	for (int depth = 0; depth < 40; depth++) {
		OK(mkdir(name, 0755));
		OK(chdir(name));
	}
	write_text("f", "contents");
	SAME("contents", text_of("f"));
	for (int depth = 0; depth < 40; depth++)
		OK(chdir(".."));
	EQ(1, entries_of("."));
}

CASE(similar_names, "2000 names that hardly differ are all there, and can be told apart")
{
	char name[64];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "a common beginning, then %d", i);
		make_file(name);
	}
	EQ(2000, entries_of("."));
	for (int i = 0; i < 2000; i += 2) {
		snprintf(name, sizeof name, "a common beginning, then %d", i);
		OK(unlink(name));
	}
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "a common beginning, then %d", i);
		EQ(i & 1, exists(name));
	}
	EQ(1000, entries_of("."));
}
