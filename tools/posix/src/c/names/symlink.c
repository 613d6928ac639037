/* symlink(2), readlink(2), and how symlinks are followed. */
#include "harness.h"

CASE(holds_text, "a symlink is its target's text, to the byte")
{
	char text[64];

	OK(symlink("some/where else\n\377", "s"));

	struct stat status = stat_of("s");

	EQ(17, status.st_size);
	EQ(1, status.st_nlink);
	EQ(geteuid(), status.st_uid);
	MODE(S_IFLNK | 0777, status.st_mode);
	memset(text, 'x', sizeof text);
	EQ(17, OK(readlink("s", text, sizeof text)));
	BYTES("some/where else\n\377x", text, 18);
}

CASE(umask, "the umask is not for symlinks")
{
	umask(077);
	OK(symlink("f", "s"));
	MODE(0777, mode_of("s"));
}

CASE(lengths, "targets of 1 to 1000 bytes come back")
{
	static const int lengths[] = {1, 2, 15, 59, 60, 61, 127, 128, 254, 255, 256, 257, 511, 512, 513, 1000};
	char target[1024], seen[1024], name[16];

	memset(target, 'a', sizeof target);
	for (int i = 0; i < ARRAY_LENGTH(lengths); i++) {
		int length = lengths[i];

		context("%d bytes", length);
		target[length] = 0;
		snprintf(name, sizeof name, "%d", length);
		OK(symlink(target, name));
		target[length] = 'a';
		EQ(length, size_of(name));
		EQ(length, OK(readlink(name, seen, sizeof seen)));
		BYTES(target, seen, length);
	}
}

CASE(longest, "a target may have 4095 bytes")
{
	static char target[4097], seen[4097];

	memset(target, 'b', 4096);
	FAILS(ENAMETOOLONG, symlink(target, "s"));
	target[4095] = 0;
	OK(symlink(target, "s"));
	EQ(4095, size_of("s"));
	EQ(4095, OK(readlink("s", seen, sizeof seen)));
	BYTES(target, seen, 4095);
}

CASE(readlink_part, "readlink gives as much as there is room for, and no 0 behind it")
{
	char text[4] = "xxxx";

	OK(symlink("abcdef", "s"));
	EQ(3, OK(readlink("s", text, 3)));
	BYTES("abcx", text, 4);
	FAILS(EINVAL, readlink("s", text, 0));
}

CASE(readlink_other_types, "readlink is EINVAL for anything else")
{
	char text[8];

	for (int type = 0; type < types_here(); type++) {
		if (type == SYMLINK)
			continue;
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(EINVAL, readlink(type_names[type], text, sizeof text));
	}
}

CASE(existing, "symlink is EEXIST for whatever is there; its text must not be empty")
{
	for (int type = 0; type < types_here(); type++) {
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(EEXIST, symlink("x", type_names[type]));
	}
	no_context();
	CHECK(!exists("nowhere"));
	FAILS(ENOENT, symlink("", "s"));
	FAILS(ENOENT, symlink("x", ""));
	FAILS(ENOENT, symlink("x", "s/"));
}

CASE(followed_from_its_directory, "a relative target is looked up from the symlink's directory")
{
	make_dir("d");
	make_dir("d/e");
	write_text("d/f", "inside");
	write_text("f", "outside");
	OK(symlink("f", "d/s"));
	OK(symlink("../f", "d/e/s"));
	OK(symlink("d/e/../f", "s"));
	SAME("inside", text_of("d/s"));
	SAME("inside", text_of("d/e/s"));
	SAME("inside", text_of("s"));
	OK(rename("d/s", "t"));
	SAME("outside", text_of("t"));
}

CASE(absolute, "an absolute target is looked up from the root")
{
	char path[4096];

	CHECK(getcwd(path, sizeof path - 2) != NULL);
	strcat(path, "/f");
	write_text("f", "contents");
	make_dir("d");
	OK(symlink(path, "d/s"));
	SAME("contents", text_of("d/s"));
}

CASE(parent_of_target, "'..' behind a symlink is the parent of what it names")
{
	make_dir("d");
	make_dir("d/e");
	make_file("d/f");
	OK(symlink("d/e", "s"));
	EQ(inode_of("d"), inode_of("s/.."));
	EQ(inode_of("d/f"), inode_of("s/../f"));
}

CASE(loops, "symlinks that lead back to themselves are ELOOP; the links themselves can be seen and removed")
{
	struct stat status;

	OK(symlink("self", "self"));
	OK(symlink("b", "a"));
	OK(symlink("a", "b"));
	OK(symlink("c/x", "c"));
	FAILS(ELOOP, stat("self", &status));
	FAILS(ELOOP, open("a", O_RDONLY));
	FAILS(ELOOP, open("a", O_CREAT | O_WRONLY, 0644));
	FAILS(ELOOP, stat("c", &status));
	FAILS(ELOOP, stat("a/x", &status));
	FAILS(ELOOP, chmod("self", 0644));
	EQ(S_IFLNK, type_of("self"));
	OK(unlink("self"));
	OK(rename("a", "d"));
	FAILS(ENOENT, stat("d", &status));
}

CASE(chain, "a path may lead through 40 symlinks, not 41 (so on Linux)")
{
	char name[16], target[16];

	write_text("0", "contents");
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof name, "%d", i);
		snprintf(target, sizeof target, "%d", i - 1);
		OK(symlink(target, name));
	}
	SAME("contents", text_of("40"));
	FAILS(ELOOP, open("41", O_RDONLY));
}

CASE(trailing_slash, "a slash behind a symlink asks for the directory that it names")
{
	struct stat status;

	make_dir("d");
	make_file("f");
	OK(symlink("d", "s"));
	OK(symlink("f", "t"));
	OK(symlink("nowhere", "u"));
	OK(lstat("s/", &status));
	CHECK(S_ISDIR(status.st_mode));
	FAILS(ENOTDIR, lstat("t/", &status));
	FAILS(ENOENT, lstat("u/", &status));
	FAILS(ENOTDIR, unlink("t/"));
	EQ(S_IFLNK, type_of("t"));
}

CASE(unlink_and_rename, "unlink and rename are for the symlink, not for what it names")
{
	write_text("f", "contents");
	make_dir("d");
	OK(symlink("f", "s"));
	OK(symlink("d", "t"));
	OK(rename("s", "r"));
	SAME("contents", text_of("r"));
	EQ(S_IFLNK, type_of("r"));
	OK(unlink("r"));
	OK(unlink("t"));
	SAME("contents", text_of("f"));
	CHECK(exists("d"));
}

CASE(hard_link, "link is for the symlink itself, with AT_SYMLINK_FOLLOW for what it names")
{
	make_file("f");
	OK(symlink("f", "s"));
	OK(link("s", "t"));
	EQ(inode_of("s"), inode_of("t"));
	EQ(2, links_of("s"));
	EQ(1, links_of("f"));
	OK(linkat(AT_FDCWD, "s", AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
	EQ(inode_of("f"), inode_of("g"));
	EQ(2, links_of("f"));
}

CASE(chmod, "chmod is for what a symlink names; a symlink's own mode doesn't change")
{
	make_file_mode("f", 0644);
	OK(symlink("f", "s"));
	OK(chmod("s", 0600));
	MODE(0600, mode_of("f"));
	MODE(0777, mode_of("s"));
	FAILS(EOPNOTSUPP, fchmodat(AT_FDCWD, "s", 0644, AT_SYMLINK_NOFOLLOW));
	MODE(0777, mode_of("s"));
}

CASE(many, "a thousand symlinks each have their own text")
{
	char name[16], target[32], seen[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "%d", i);
		snprintf(target, sizeof target, "target/%d", i * 7919);
		OK(symlink(target, name));
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "%d", i);
		snprintf(target, sizeof target, "target/%d", i * 7919);
		seen[OK(readlink(name, seen, sizeof seen - 1))] = 0;
		SAME(target, seen);
	}
}
