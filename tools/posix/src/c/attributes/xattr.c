/* Extended attributes: setxattr(2) and its kin, in the name spaces user, trusted and security. */
#include "harness.h"

#include <linux/capability.h>
#include <sys/xattr.h>

/* Sets a text as a value. */
static int set(const char *path, const char *name, const char *value)
{
	return lsetxattr(path, name, value, strlen(value), 0);
}

/* A value that is a text. */
static const char *get(const char *path, const char *name)
{
	static char value[4096];

	value[OK(lgetxattr(path, name, value, sizeof value - 1))] = 0;
	return value;
}

/* Whether a name is listed, and once only. */
static bool is_listed(const char *path, const char *name)
{
	static char names[64 * KIB];
	long length = OK(llistxattr(path, names, sizeof names));
	int count = 0;

	for (long at = 0; at < length; at += strlen(names + at) + 1)
		count += !strcmp(names + at, name);
	CHECK(count <= 1);
	return count;
}

/* How many names are listed in the name space user. */
static int listed_count(const char *path)
{
	static char names[64 * KIB];
	long length = OK(llistxattr(path, names, sizeof names));
	int count = 0;

	for (long at = 0; at < length; at += strlen(names + at) + 1)
		count += !strncmp(names + at, "user.", 5);
	return count;
}

CASE(keeps, "a value is kept under its name, replaced, and removed")
{
	make_file("f");
	OPTIONAL(set("f", "user.one", "first"));
	SAME("first", get("f", "user.one"));
	OK(set("f", "user.two", "second"));
	SAME("first", get("f", "user.one"));
	SAME("second", get("f", "user.two"));
	OK(set("f", "user.one", "a longer value than before"));
	SAME("a longer value than before", get("f", "user.one"));
	OK(set("f", "user.one", "x"));
	SAME("x", get("f", "user.one"));
	CHECK(is_listed("f", "user.one") && is_listed("f", "user.two"));
	OK(removexattr("f", "user.one"));
	FAILS(ENODATA, getxattr("f", "user.one", NULL, 0));
	CHECK(!is_listed("f", "user.one"));
	SAME("second", get("f", "user.two"));
	EQ(1, listed_count("f"));
}

CASE(create_and_replace, "XATTR_CREATE is EEXIST where there is one, XATTR_REPLACE ENODATA where there is none")
{
	make_file("f");
	OPTIONAL(set("f", "user.y", "0"));
	FAILS(ENODATA, setxattr("f", "user.x", "1", 1, XATTR_REPLACE));
	OK(setxattr("f", "user.x", "1", 1, XATTR_CREATE));
	FAILS(EEXIST, setxattr("f", "user.x", "2", 1, XATTR_CREATE));
	SAME("1", get("f", "user.x"));
	OK(setxattr("f", "user.x", "3", 1, XATTR_REPLACE));
	SAME("3", get("f", "user.x"));
	FAILS(EINVAL, setxattr("f", "user.x", "4", 1, 0x100));
}

CASE(missing, "what isn't there is ENODATA, and what has no attributes lists none")
{
	make_file("f");
	OPTIONAL(set("f", "user.x", "1"));
	FAILS(ENODATA, getxattr("f", "user.y", NULL, 0));
	FAILS(ENODATA, removexattr("f", "user.y"));
	OK(removexattr("f", "user.x"));
	EQ(0, listed_count("f"));
	FAILS(ENOENT, getxattr("missing", "user.x", NULL, 0));
	FAILS(ENOENT, set("missing", "user.x", "1"));
	FAILS(ENOENT, listxattr("missing", NULL, 0));
	FAILS(ENOENT, removexattr("missing", "user.x"));
}

CASE(room, "without room the size is given; with too little it is ERANGE")
{
	char value[16], names[64];

	make_file("f");
	OPTIONAL(set("f", "user.x", "0123456789"));
	EQ(10, OK(getxattr("f", "user.x", NULL, 0)));
	EQ(10, OK(getxattr("f", "user.x", value, 10)));
	FAILS(ERANGE, getxattr("f", "user.x", value, 9));

	long length = OK(listxattr("f", NULL, 0));

	CHECK(length >= 7);
	EQ(length, OK(listxattr("f", names, length)));
	FAILS(ERANGE, listxattr("f", names, length - 1));
}

CASE(bytes, "a value is any bytes, or none")
{
	unsigned char value[256], seen[256];

	for (int i = 0; i < 256; i++)
		value[i] = 255 - i;
	make_file("f");
	OPTIONAL(setxattr("f", "user.all", value, 256, 0));
	EQ(256, OK(getxattr("f", "user.all", seen, 256)));
	BYTES(value, seen, 256);
	OK(setxattr("f", "user.empty", "", 0, 0));
	EQ(0, OK(getxattr("f", "user.empty", seen, 256)));
	EQ(0, OK(getxattr("f", "user.empty", NULL, 0)));
	CHECK(is_listed("f", "user.empty"));
	OK(setxattr("f", "user.all", NULL, 0, XATTR_REPLACE));
	EQ(0, OK(getxattr("f", "user.all", seen, 256)));
}

CASE(names, "a name may have 255 bytes of any kind; without a name space, or with nothing behind it, it is refused")
{
	char name[258] = "user.";

	make_file("f");
	memset(name + 5, 'n', 251);
	FAILS(ERANGE, set("f", name, "x"));
	name[255] = 0;
	OPTIONAL(set("f", name, "long"));
	SAME("long", get("f", name));
	CHECK(is_listed("f", name));
	name[254] = 0;
	FAILS(ENODATA, getxattr("f", name, NULL, 0));
	OK(set("f", "user.\303\251 \n\377", "odd"));
	SAME("odd", get("f", "user.\303\251 \n\377"));
	CHECK(is_listed("f", "user.\303\251 \n\377"));
	FAILS(ENODATA, getxattr("f", "user.\303\251", NULL, 0));
	FAILS(EINVAL, set("f", "user.", "x"));
	FAILS(ERANGE, set("f", "", "x"));
	FAILS(EOPNOTSUPP, set("f", "cowherd.name", "x"));
	FAILS(EOPNOTSUPP, set("f", "name", "x"));
	FAILS(EOPNOTSUPP, getxattr("f", "cowherd.name", NULL, 0));
}

CASE(similar_names, "names that begin alike, or differ by case, are different names")
{
	static const char *const names[] = {"user.a", "user.aa", "user.A", "user.a.a", "user.aaa", "user.b"};

	make_file("f");
	for (int i = 0; i < ARRAY_LENGTH(names); i++)
		OPTIONAL(set("f", names[i], names[i]));
	for (int i = 0; i < ARRAY_LENGTH(names); i++)
		SAME(names[i], get("f", names[i]));
	EQ(ARRAY_LENGTH(names), listed_count("f"));
	OK(removexattr("f", "user.aa"));
	SAME("user.a", get("f", "user.a"));
	SAME("user.aaa", get("f", "user.aaa"));
}

CASE(large_values, "a value comes back whole, or is refused as too large; beyond 64 KiB it is always E2BIG")
{
	static const int sizes[] = {100, 500, 1000, 2000, 4000, 4096, 10000, 65535, 65536};
	static char value[65537], seen[65537];

	fill_pattern(value, 0, sizeof value, 1);
	make_file("f");
	OPTIONAL(setxattr("f", "user.x", value, 50, 0));
	for (int i = 0; i < ARRAY_LENGTH(sizes); i++) {
		context("%d bytes", sizes[i]);
		if (setxattr("f", "user.x", value, sizes[i], 0)) {
			CHECK(errno == ENOSPC || errno == E2BIG || errno == ERANGE);
			CHECK(sizes[i] > 500);
			continue;
		}
		EQ(sizes[i], OK(getxattr("f", "user.x", seen, sizeof seen)));
		BYTES(value, seen, sizes[i]);
	}
	no_context();
	FAILS(E2BIG, setxattr("f", "user.x", value, 65537, 0));
}

CASE(many, "fifteen attributes are kept, listed, and removed one by one")
{
	char name[32], value[64];

	make_file("f");
	for (int i = 0; i < 15; i++) {
		snprintf(name, sizeof name, "user.name%d", i * 7919);
		snprintf(value, sizeof value, "value %d", i);
		OPTIONAL(set("f", name, value));
		EQ(i + 1, listed_count("f"));
	}
	for (int i = 0; i < 15; i++) {
		snprintf(name, sizeof name, "user.name%d", i * 7919);
		snprintf(value, sizeof value, "value %d", i);
		SAME(value, get("f", name));
		CHECK(is_listed("f", name));
		OK(removexattr("f", name));
		EQ(14 - i, listed_count("f"));
	}
}

CASE(types, "files and directories have attributes in the name space user, others haven't")
{
	make_dir("d");
	OPTIONAL(set("d", "user.x", "1"));
	SAME("1", get("d", "user.x"));
	for (int type = 0; type < types_here(); type++) {
		if (type == FILE_ || type == DIRECTORY)
			continue;
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(EPERM, set(type_names[type], "user.x", "1"));
		FAILS(ENODATA, lgetxattr(type_names[type], "user.x", NULL, 0));
	}
}

CASE(descriptor, "attributes can be had by an open file, also when it has no name any more")
{
	char value[8] = "";

	make_file("f");

	int fd = OK(open("f", O_RDONLY)), path = OK(open("f", O_PATH));

	OPTIONAL(fsetxattr(fd, "user.x", "1", 1, 0));
	SAME("1", get("f", "user.x"));
	FAILS(EBADF, fgetxattr(path, "user.x", value, sizeof value));
	OK(unlink("f"));
	EQ(1, OK(fgetxattr(fd, "user.x", value, sizeof value)));
	SAME("1", value);
	OK(fremovexattr(fd, "user.x"));
	FAILS(ENODATA, fgetxattr(fd, "user.x", value, sizeof value));
}

CASE(through_symlinks, "getxattr and setxattr follow symlinks, lgetxattr and lsetxattr don't")
{
	make_file("f");
	OK(symlink("f", "s"));
	OPTIONAL(setxattr("s", "user.x", "1", 1, 0));
	SAME("1", get("f", "user.x"));
	EQ(1, OK(getxattr("s", "user.x", NULL, 0)));
	FAILS(ENODATA, lgetxattr("s", "user.x", NULL, 0));
	OK(removexattr("s", "user.x"));
	EQ(0, listed_count("f"));
}

CASE(with_the_file, "attributes belong to the file: all its names have them, and they move with it; a new file has none")
{
	make_file("f");
	OPTIONAL(set("f", "user.x", "1"));
	OK(link("f", "g"));
	OK(rename("f", "h"));
	SAME("1", get("g", "user.x"));
	SAME("1", get("h", "user.x"));
	OK(set("g", "user.x", "2"));
	SAME("2", get("h", "user.x"));
	make_file("f");
	EQ(0, listed_count("f"));
	OK(rename("f", "g"));
	EQ(0, listed_count("g"));
	SAME("2", get("h", "user.x"));
}

CASE(contents_apart, "attributes and contents don't disturb each other")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 50000, 1);
	OPTIONAL(set("f", "user.x", "1"));
	OK(ftruncate(fd, 10000));
	write_pattern(fd, 10000, 50000, 1);
	OK(set("f", "user.y", "2"));
	drop_pages(fd);
	expect_pattern(fd, 0, 60000, 1);
	SAME("1", get("f", "user.x"));
	SAME("2", get("f", "user.y"));
}

CASE(permissions, "in the name space user, reading needs permission to read, writing to write")
{
	need_users();
	make_file_mode("f", 0604);
	OPTIONAL(set("f", "user.x", "1"));
	AS(ALICE) {
		SAME("1", get("f", "user.x"));
		FAILS(EACCES, set("f", "user.x", "2"));
		FAILS(EACCES, set("f", "user.y", "2"));
		FAILS(EACCES, removexattr("f", "user.x"));
	}
	OK(chmod("f", 0602));
	AS(ALICE) {
		FAILS(EACCES, getxattr("f", "user.x", NULL, 0));
		OK(set("f", "user.x", "2"));
	}
	OK(chmod("f", 0600));
	AS(ALICE) {
		FAILS(EACCES, getxattr("f", "user.x", NULL, 0));
		CHECK(is_listed("f", "user.x"));
	}
	SAME("2", get("f", "user.x"));
}

CASE(sticky_directory, "in the name space user, only the owner of a sticky directory sets its attributes")
{
	need_users();
	make_dir_mode("d", 01777);
	OPTIONAL(set("d", "user.x", "0"));
	OK(chown("d", ALICE.uid, ALICE.gid));
	AS(BOB) {
		FAILS(EPERM, set("d", "user.x", "1"));
	}
	AS(ALICE) {
		OK(set("d", "user.x", "1"));
	}
	SAME("1", get("d", "user.x"));
}

CASE(trusted, "the name space trusted is for root: others neither see nor set it")
{
	need_users();
	make_file_mode("f", 0666);
	OK(symlink("f", "s"));
	OPTIONAL(set("f", "trusted.x", "1"));
	OK(set("s", "trusted.x", "2"));
	SAME("1", get("f", "trusted.x"));
	SAME("2", get("s", "trusted.x"));
	CHECK(is_listed("f", "trusted.x"));
	OK(chown("f", ALICE.uid, ALICE.gid));
	AS(ALICE) {
		FAILS(ENODATA, getxattr("f", "trusted.x", NULL, 0));
		FAILS(EPERM, set("f", "trusted.x", "3"));
		FAILS(EPERM, set("f", "trusted.y", "3"));
		FAILS(EPERM, removexattr("f", "trusted.x"));
		CHECK(!is_listed("f", "trusted.x"));
	}
	OK(removexattr("f", "trusted.x"));
	FAILS(ENODATA, getxattr("f", "trusted.x", NULL, 0));
}

CASE(name_spaces, "the same name in different name spaces is different")
{
	need_root();
	make_file("f");
	OPTIONAL(set("f", "user.x", "user"));
	OPTIONAL(set("f", "trusted.x", "trusted"));
	OPTIONAL(set("f", "security.x", "security"));
	SAME("user", get("f", "user.x"));
	SAME("trusted", get("f", "trusted.x"));
	SAME("security", get("f", "security.x"));
	OK(removexattr("f", "trusted.x"));
	SAME("user", get("f", "user.x"));
	SAME("security", get("f", "security.x"));
	FAILS(ENODATA, getxattr("f", "trusted.x", NULL, 0));
}

CASE(security, "the name space security can be read by everybody, and set by root")
{
	need_users();
	make_file_mode("f", 0666);
	OPTIONAL(set("f", "security.x", "1"));
	CHECK(is_listed("f", "security.x"));
	OK(chown("f", ALICE.uid, ALICE.gid));
	AS(ALICE) {
		SAME("1", get("f", "security.x"));
		FAILS(EPERM, set("f", "security.x", "2"));
		FAILS(EPERM, removexattr("f", "security.x"));
	}
	OK(removexattr("f", "security.x"));
}

CASE(capabilities, "a file's capabilities are gone once somebody writes to it, truncates it, or gives it away")
{
	struct vfs_cap_data capabilities = {
		.magic_etc = VFS_CAP_REVISION_2,
		.data = {{.permitted = 1 << CAP_NET_BIND_SERVICE}},
	};

	need_users();
	for (int way = 0; way < 3; way++) {
		context("way %d", way);
		write_text("f", "contents");
		OK(chmod("f", 0777));
		OPTIONAL(setxattr("f", "security.capability", &capabilities, sizeof capabilities, 0));
		EQ(sizeof capabilities, OK(getxattr("f", "security.capability", NULL, 0)));
		if (way == 0) {
			AS(ALICE) {
				int fd = OK(open("f", O_WRONLY));

				OK(write(fd, "x", 1));
			}
		} else if (way == 1) {
			AS(ALICE) {
				OK(truncate("f", 2));
			}
		} else {
			OK(chown("f", ALICE.uid, -1));
		}
		FAILS(ENODATA, getxattr("f", "security.capability", NULL, 0));
		MODE(0777, mode_of("f"));
		OK(unlink("f"));
	}
}

CASE(many_files, "attributes of 500 files are each file's own")
{
	char name[16], value[32];

	make_file("f");
	OPTIONAL(set("f", "user.x", "1"));
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "%d", i);
		snprintf(value, sizeof value, "value of %d", i);
		make_file(name);
		OK(set(name, "user.x", value));
	}
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "%d", i);
		snprintf(value, sizeof value, "value of %d", i);
		SAME(value, get(name, "user.x"));
	}
}
