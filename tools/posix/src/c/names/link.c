/* link(2) and unlink(2): names and the number of them. */
#include "harness.h"

CASE(same_file, "two names of a file are the same file")
{
	write_text("f", "contents");
	OK(link("f", "g"));
	EQ(inode_of("f"), inode_of("g"));
	EQ(2, links_of("f"));
	EQ(2, links_of("g"));
	SAME("contents", text_of("g"));
	write_text("g", "others");
	SAME("others", text_of("f"));
	OK(chmod("g", 0600));
	MODE(0600, mode_of("f"));
}

CASE(unlink_one, "a file lives as long as one of its names")
{
	write_text("f", "contents");
	OK(link("f", "g"));
	OK(unlink("f"));
	CHECK(!exists("f"));
	EQ(1, links_of("g"));
	SAME("contents", text_of("g"));
	OK(link("g", "f"));
	OK(unlink("g"));
	SAME("contents", text_of("f"));
	OK(unlink("f"));
	FAILS(ENOENT, unlink("f"));
}

CASE(existing, "link is EEXIST for whatever is there, also for the file itself")
{
	make_file("f");
	for (int type = 0; type < types_here(); type++) {
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(EEXIST, link("f", type_names[type]));
	}
	no_context();
	FAILS(EEXIST, link("f", "f"));
	EQ(1, links_of("f"));
	CHECK(!exists("nowhere"));
}

CASE(refusals, "directories can't be linked, nor what isn't there")
{
	make_dir("d");
	make_file("f");
	FAILS(EPERM, link("d", "e"));
	FAILS(EPERM, link(".", "e"));
	FAILS(ENOENT, link("missing", "e"));
	FAILS(ENOENT, link("f", "missing/e"));
	FAILS(ENOTDIR, link("f", "f/e"));
	FAILS(ENOTDIR, link("f/", "e"));
	FAILS(ENOENT, link("f", "e/"));
	FAILS(ENOENT, link("", "e"));
	FAILS(ENOENT, link("f", ""));
	FAILS(EINVAL, linkat(AT_FDCWD, "f", AT_FDCWD, "e", 0x10000));
}

CASE(across_directories, "a file's names may lie in different directories")
{
	make_dir("d");
	make_dir("e");
	write_text("d/f", "contents");
	OK(link("d/f", "e/g"));
	OK(unlink("d/f"));
	OK(rmdir("d"));
	SAME("contents", text_of("e/g"));
	EQ(1, links_of("e/g"));
}

CASE(every_type, "all but directories can be linked")
{
	char other[32];

	for (int type = 0; type < types_here(); type++) {
		if (type == DIRECTORY)
			continue;
		context("%s", type_names[type]);
		snprintf(other, sizeof other, "%s2", type_names[type]);
		make_of_type(type, type_names[type]);
		OK(link(type_names[type], other));
		EQ(inode_of(type_names[type]), inode_of(other));
		EQ(2, links_of(other));
		OK(unlink(type_names[type]));
		EQ(1, links_of(other));
	}
}

CASE(many_links, "a file may have a thousand names, and counts them")
{
	char name[32];

	write_text("f", "contents");
	for (int i = 1; i < 1000; i++) {
		snprintf(name, sizeof name, "f%d", i);
		OK(link("f", name));
		EQ(i + 1, links_of("f"));
	}
	OK(unlink("f"));
	for (int i = 1; i < 999; i++) {
		snprintf(name, sizeof name, "f%d", i);
		OK(unlink(name));
		EQ(999 - i, links_of("f999"));
	}
	SAME("contents", text_of("f999"));
}

CASE(by_descriptor, "linkat with AT_EMPTY_PATH names an open file (root)")
{
	need_root();
	write_text("f", "contents");

	int fd = OK(open("f", O_RDONLY));

	OK(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
	EQ(2, fstat_of(fd).st_nlink);
	SAME("contents", text_of("g"));
	OK(unlink("f"));
	OK(unlink("g"));
	FAILS(ENOENT, linkat(fd, "", AT_FDCWD, "h", AT_EMPTY_PATH));
}

CASE(unlink_directory, "unlink is EISDIR for a directory (so on Linux)")
{
	make_dir("d");
	FAILS(EISDIR, unlink("d"));
	FAILS(EISDIR, unlink("d/"));
	FAILS(EISDIR, unlink("."));
	CHECK(exists("d"));
}

CASE(unlink_trailing_slash, "a file with a slash behind it can't be unlinked")
{
	make_file("f");
	FAILS(ENOTDIR, unlink("f/"));
	FAILS(ENOENT, unlink("missing/"));
	CHECK(exists("f"));
}

CASE(unlink_every_type, "unlink removes all but directories")
{
	for (int type = 0; type < types_here(); type++) {
		if (type == DIRECTORY)
			continue;
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		OK(unlink(type_names[type]));
		CHECK(!exists(type_names[type]));
	}
	EQ(0, entries_of("."));
}

CASE(unlink_read_only, "a file that nobody may write can be unlinked: it is the directory that changes")
{
	AS_ORDINARY {
		make_file_mode("f", 0);
		OK(unlink("f"));
		CHECK(!exists("f"));
	}
}

CASE(name_again, "a name that was unlinked can be taken by another file")
{
	for (int round = 0; round < 200; round++) {
		char text[16];

		snprintf(text, sizeof text, "round %d", round);
		write_text("f", text);
		SAME(text, text_of("f"));
		OK(unlink("f"));
		CHECK(!exists("f"));
	}
}
