/* rename(2). */
#include "harness.h"

CASE(moves, "rename gives a file another name, and it stays the same file")
{
	write_text("f", "contents");

	long inode = inode_of("f");

	OK(rename("f", "g"));
	CHECK(!exists("f"));
	EQ(inode, inode_of("g"));
	EQ(1, links_of("g"));
	SAME("contents", text_of("g"));
	FAILS(ENOENT, rename("f", "h"));
}

CASE(every_type, "what is of any type can be renamed, within a directory and to another one")
{
	make_dir("d");
	for (int type = 0; type < types_here(); type++) {
		context("%s", type_names[type]);
		make_of_type(type, "x");

		struct stat before = stat_of("x");

		OK(rename("x", "y"));
		OK(rename("y", "d/z"));
		CHECK(!exists("x") && !exists("y"));
		EQ(before.st_ino, inode_of("d/z"));
		EQ(before.st_mode, stat_of("d/z").st_mode);
		EQ(before.st_nlink, links_of("d/z"));
		OK(type == DIRECTORY ? rmdir("d/z") : unlink("d/z"));
	}
}

CASE(over_file, "rename replaces a file of any type, directories left out, by any other")
{
	for (int from = 0; from < types_here(); from++)
		for (int to = 0; to < types_here(); to++) {
			if (from == DIRECTORY || to == DIRECTORY)
				continue;
			context("%s over %s", type_names[from], type_names[to]);
			make_of_type(from, "x");
			make_of_type(to, "y");
			OK(link("y", "z"));

			long inode = inode_of("x");

			OK(rename("x", "y"));
			CHECK(!exists("x"));
			EQ(inode, inode_of("y"));
			EQ(1, links_of("y"));
			EQ(1, links_of("z"));
			OK(unlink("y"));
			OK(unlink("z"));
		}
}

CASE(over_symlink, "a symlink is replaced itself, not what it names")
{
	write_text("f", "new");
	write_text("g", "old");
	OK(symlink("g", "s"));
	OK(rename("f", "s"));
	EQ(S_IFREG, type_of("s"));
	SAME("new", text_of("s"));
	SAME("old", text_of("g"));
}

CASE(over_empty_directory, "a directory replaces an empty one")
{
	make_dir("d");
	make_file("d/f");
	make_dir("e");

	int replaced = OK(open("e", O_RDONLY | O_DIRECTORY));
	long inode = inode_of("d");

	OK(rename("d", "e"));
	EQ(inode, inode_of("e"));
	CHECK(exists("e/f"));
	CHECK(!exists("d"));
	EQ(0, fstat_of(replaced).st_nlink);
	FAILS(ENOENT, openat(replaced, "x", O_CREAT | O_WRONLY, 0644));
}

CASE(over_full_directory, "a directory doesn't replace one that has anything in it")
{
	make_dir("d");
	make_dir("e");
	make_file("e/f");
	FAILS_EITHER(ENOTEMPTY, EEXIST, rename("d", "e"));
	OK(unlink("e/f"));
	make_dir("e/g");
	FAILS_EITHER(ENOTEMPTY, EEXIST, rename("d", "e"));
	CHECK(exists("d"));
	CHECK(exists("e/g"));
}

CASE(file_over_directory, "nothing but a directory replaces a directory")
{
	make_dir("d");
	for (int type = 0; type < types_here(); type++) {
		if (type == DIRECTORY)
			continue;
		context("%s", type_names[type]);
		make_of_type(type, "x");
		FAILS(EISDIR, rename("x", "d"));
		CHECK(exists("x"));
		OK(unlink("x"));
	}
	CHECK(exists("d"));
}

CASE(directory_over_file, "a directory replaces nothing but a directory")
{
	make_dir("d");
	for (int type = 0; type < types_here(); type++) {
		if (type == DIRECTORY)
			continue;
		context("%s", type_names[type]);
		make_of_type(type, "x");
		FAILS(ENOTDIR, rename("d", "x"));
		CHECK(exists("x"));
		OK(unlink("x"));
	}
	make_dir("e");
	OK(symlink("e", "s"));
	FAILS(ENOTDIR, rename("d", "s"));
	CHECK(exists("d"));
}

CASE(same_name, "renaming to the same name does nothing")
{
	write_text("f", "contents");
	make_dir("d");
	make_file("d/g");
	OK(rename("f", "f"));
	OK(rename("d", "d"));
	OK(rename("d/g", "./d/../d/g"));
	SAME("contents", text_of("f"));
	CHECK(exists("d/g"));
}

CASE(same_file, "renaming one name of a file to another does nothing, and both remain")
{
	write_text("f", "contents");
	make_dir("d");
	OK(link("f", "g"));
	OK(link("f", "d/h"));
	OK(rename("f", "g"));
	OK(rename("g", "d/h"));
	EQ(3, links_of("f"));
	SAME("contents", text_of("g"));
	SAME("contents", text_of("d/h"));
}

CASE(into_itself, "a directory can't be moved into itself or below")
{
	make_dir("d");
	make_dir("d/e");
	make_dir("d/e/f");
	OK(symlink("d/e/f", "s"));
	FAILS(EINVAL, rename("d", "d/x"));
	FAILS(EINVAL, rename("d", "d/e/x"));
	FAILS(EINVAL, rename("d", "d/e/f/x"));
	FAILS(EINVAL, rename("d", "s/x"));
	FAILS(EINVAL, rename("d", "d/e"));
	CHECK(exists("d/e/f"));
}

CASE(over_ancestor, "what is inside a directory can't replace it")
{
	make_dir("d");
	make_dir("d/e");
	make_dir("d/e/f");
	make_file("d/e/g");
	FAILS_EITHER(ENOTEMPTY, EEXIST, rename("d/e", "d"));
	FAILS_EITHER(ENOTEMPTY, EEXIST, rename("d/e/f", "d"));
	FAILS_EITHER(ENOTEMPTY, EISDIR, rename("d/e/g", "d"));
	CHECK(exists("d/e/g"));
}

CASE(to_parent_and_back, "a directory can move up over its parent's place, and down again")
{
	make_dir("d");
	make_dir("d/e");
	make_file("d/e/f");
	OK(rename("d/e", "e"));
	OK(rename("d", "e/d"));
	CHECK(exists("e/d"));
	CHECK(exists("e/f"));
	EQ(inode_of("e"), inode_of("e/d/.."));
	EQ(inode_of("."), inode_of("e/.."));
}

CASE(dots, "a path that ends in a dot can't be renamed")
{
	make_dir("d");
	make_dir("e");
	FAILS_EITHER(EBUSY, EINVAL, rename("d/.", "x"));
	FAILS_EITHER(EBUSY, EINVAL, rename("d/..", "x"));
	FAILS_EITHER(EBUSY, EINVAL, rename(".", "x"));
	FAILS_EITHER(EBUSY, EINVAL, rename("d", "e/."));
	FAILS_EITHER(EBUSY, EINVAL, rename("d", "e/.."));
	CHECK(exists("d"));
	CHECK(exists("e"));
}

CASE(trailing_slash, "a slash at the end is for directories only")
{
	make_file("f");
	make_dir("d");
	OK(symlink("d", "s"));
	FAILS(ENOTDIR, rename("f/", "g"));
	FAILS(ENOTDIR, rename("f", "g/"));
	FAILS(ENOTDIR, rename("s/", "t"));
	OK(rename("d/", "e/"));
	EQ(S_IFDIR, type_of("e"));
	CHECK(!exists("d"));
}

CASE(missing, "what isn't there can't be renamed, nor go where there is no directory")
{
	make_file("f");
	FAILS(ENOENT, rename("missing", "x"));
	FAILS(ENOENT, rename("missing", "f"));
	FAILS(ENOENT, rename("missing/x", "f"));
	FAILS(ENOENT, rename("f", "missing/x"));
	FAILS(ENOTDIR, rename("f", "f/x"));
	FAILS(ENOENT, rename("", "x"));
	FAILS(ENOENT, rename("f", ""));
	CHECK(exists("f"));
}

CASE(directory_to_other_parent, "a moved directory has its contents and another parent, and both parents count their links")
{
	make_dir("d");
	make_dir("e");
	make_dir("d/x");
	make_dir("d/x/y");
	write_text("d/x/y/f", "contents");

	long links = links_of("d");

	OK(rename("d/x", "e/x"));
	EQ(inode_of("e"), inode_of("e/x/.."));
	SAME("contents", text_of("e/x/y/f"));
	FAILS(ENOENT, open("d/x/y/f", O_RDONLY));
	EQ(links, links_of("e"));
	if (links != 1)
		EQ(2, links_of("d"));
	OK(rmdir("d"));
}

CASE(replaced_directory_links, "replacing a directory by another from elsewhere leaves the links right")
{
	make_dir("d");
	make_dir("e");
	make_dir("d/x");
	make_dir("e/x");

	long links = links_of("e");

	OK(rename("d/x", "e/x"));
	EQ(links, links_of("e"));
	if (links != 1)
		EQ(2, links_of("d"));
	EQ(0, entries_of("d"));
	EQ(1, entries_of("e"));
}

CASE(open_file, "an open file doesn't notice that its name changes")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 5000, 1);
	OK(rename("f", "g"));
	write_pattern(fd, 5000, 5000, 1);
	expect_pattern(fd, 0, 10000, 1);
	EQ(fstat_of(fd).st_ino, inode_of("g"));
	EQ(10000, size_of("g"));
}

CASE(working_directory, "a working directory can be moved, and knows its new place")
{
	char before[4096], after[4096];

	make_dir("d");
	make_dir("d/e");
	make_dir("x");
	OK(chdir("d/e"));
	CHECK(getcwd(before, sizeof before) != NULL);
	OK(rename("../../d", "../../x/y"));
	CHECK(getcwd(after, sizeof after) != NULL);
	SAME("/x/y/e", after + strlen(before) - strlen("/d/e"));
	make_file("f");
	OK(chdir("../../.."));
	CHECK(exists("x/y/e/f"));
}

CASE(seen_by_others, "another process that knew the old name doesn't find it, and finds the new one")
{
	make_dir("d");
	make_file("d/f");
	BESIDE {
		struct stat status;

		OK(stat("d/f", &status));
		FAILS(ENOENT, stat("e/f", &status));
		reach(1);
		await(2);
		FAILS(ENOENT, stat("d/f", &status));
		OK(stat("e/f", &status));
	}
	await(1);
	OK(rename("d", "e"));
	reach(2);
}

CASE(many, "1000 files move to another directory and back in other order")
{
	char from[32], to[32];

	make_dir("d");
	make_dir("e");
	for (int i = 0; i < 1000; i++) {
		snprintf(from, sizeof from, "d/%d", i);
		make_file(from);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(from, sizeof from, "d/%d", i);
		snprintf(to, sizeof to, "e/moved-%d", i);
		OK(rename(from, to));
	}
	EQ(0, entries_of("d"));
	EQ(1000, entries_of("e"));
	for (int i = 999; i >= 0; i--) {
		snprintf(from, sizeof from, "e/moved-%d", i);
		snprintf(to, sizeof to, "d/%d", i % 500);
		OK(rename(from, to));
	}
	EQ(500, entries_of("d"));
	EQ(0, entries_of("e"));
}

CASE(over_itself_again, "a file written aside and renamed into place a hundred times is always the last one")
{
	char text[32];

	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "version %d", i);
		write_text("f.new", text);
		OK(rename("f.new", "f"));
		SAME(text, text_of("f"));
		CHECK(!exists("f.new"));
	}
	EQ(1, entries_of("."));
}

CASE(permissions, "both directories must be writable, and a directory that gets another parent itself")
{
	AS_ORDINARY {
		make_dir("from");
		make_dir("to");
		make_dir_mode("from/d", 0555);
		make_file("from/f");
		OK(chmod("from", 0555));
		FAILS(EACCES, rename("from/f", "to/f"));
		FAILS(EACCES, rename("from/f", "from/g"));
		OK(chmod("from", 0755));
		OK(chmod("to", 0555));
		FAILS(EACCES, rename("from/f", "to/f"));
		OK(chmod("to", 0755));
		FAILS(EACCES, rename("from/d", "to/d"));
		OK(rename("from/d", "from/e"));
		OK(chmod("from/e", 0755));
		OK(rename("from/e", "to/e"));
		OK(rename("from/f", "to/f"));
	}
}
