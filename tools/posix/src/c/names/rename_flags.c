/* renameat2(2): RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. */
#include "harness.h"

static int rename_with(const char *from, const char *to, unsigned flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

CASE(no_replace, "RENAME_NOREPLACE moves to a free name, and is EEXIST for whatever is there")
{
	write_text("f", "contents");
	OPTIONAL_OR(EINVAL, rename_with("f", "g", RENAME_NOREPLACE));
	SAME("contents", text_of("g"));
	CHECK(!exists("f"));
	for (int type = 0; type < types_here(); type++) {
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(EEXIST, rename_with("g", type_names[type], RENAME_NOREPLACE));
	}
	no_context();
	SAME("contents", text_of("g"));
	FAILS(EEXIST, rename_with("g", "g", RENAME_NOREPLACE));
	make_dir("d");
	make_dir("e");
	FAILS(EEXIST, rename_with("d", "e", RENAME_NOREPLACE));
	OK(rename_with("d", "e/d", RENAME_NOREPLACE));
	FAILS(ENOENT, rename_with("missing", "x", RENAME_NOREPLACE));
}

CASE(exchange_files, "RENAME_EXCHANGE swaps two files")
{
	write_text("f", "one");
	write_text("g", "two");

	long first = inode_of("f"), second = inode_of("g");

	OPTIONAL_OR(EINVAL, rename_with("f", "g", RENAME_EXCHANGE));
	EQ(second, inode_of("f"));
	EQ(first, inode_of("g"));
	SAME("two", text_of("f"));
	SAME("one", text_of("g"));
	EQ(1, links_of("f"));
	EQ(1, links_of("g"));
}

CASE(exchange_types, "RENAME_EXCHANGE swaps what is of different types, also in different directories")
{
	make_dir("there");
	make_file("a");
	make_file("b");
	OPTIONAL_OR(EINVAL, rename_with("a", "b", RENAME_EXCHANGE));
	for (int from = 0; from < types_here(); from++)
		for (int to = 0; to < types_here(); to++) {
			context("%s with %s", type_names[from], type_names[to]);
			make_of_type(from, "x");
			make_of_type(to, "there/y");

			struct stat first = stat_of("x"), second = stat_of("there/y");

			OK(rename_with("x", "there/y", RENAME_EXCHANGE));
			EQ(second.st_ino, inode_of("x"));
			EQ(first.st_ino, inode_of("there/y"));
			EQ(second.st_mode, stat_of("x").st_mode);
			EQ(first.st_mode, stat_of("there/y").st_mode);
			OK(to == DIRECTORY ? rmdir("x") : unlink("x"));
			OK(from == DIRECTORY ? rmdir("there/y") : unlink("there/y"));
		}
}

CASE(exchange_directories, "RENAME_EXCHANGE swaps directories that have something in them, and parents change")
{
	make_dir("d");
	make_dir("d/x");
	make_file("d/x/one");
	make_dir("e");
	make_dir("e/y");
	make_file("e/y/two");
	make_file("e/z");
	OPTIONAL_OR(EINVAL, rename_with("d/x", "e/y", RENAME_EXCHANGE));
	CHECK(exists("d/x/two"));
	CHECK(exists("e/y/one"));
	EQ(inode_of("d"), inode_of("d/x/.."));
	EQ(inode_of("e"), inode_of("e/y/.."));

	long links = links_of("d");

	OK(rename_with("d/x", "e/z", RENAME_EXCHANGE));
	EQ(S_IFREG, type_of("d/x"));
	CHECK(exists("e/z/two"));
	EQ(inode_of("e"), inode_of("e/z/.."));
	if (links != 1) {
		EQ(2, links_of("d"));
		EQ(4, links_of("e"));
	}
}

CASE(exchange_refusals, "RENAME_EXCHANGE needs both, and no directory can become its own parent")
{
	make_file("f");
	make_file("g");
	make_dir("d");
	make_dir("d/e");
	make_file("d/e/f");
	OPTIONAL_OR(EINVAL, rename_with("f", "g", RENAME_EXCHANGE));
	FAILS(ENOENT, rename_with("f", "missing", RENAME_EXCHANGE));
	FAILS(ENOENT, rename_with("missing", "f", RENAME_EXCHANGE));
	FAILS(EINVAL, rename_with("d", "d/e", RENAME_EXCHANGE));
	FAILS(EINVAL, rename_with("d/e", "d", RENAME_EXCHANGE));
	FAILS(EINVAL, rename_with("d", "d/e/f", RENAME_EXCHANGE));
	FAILS(EINVAL, rename_with("d/e/f", "d", RENAME_EXCHANGE));
	OK(rename_with("f", "f", RENAME_EXCHANGE));
	CHECK(exists("d/e/f"));
}

CASE(exchange_links, "RENAME_EXCHANGE of two names of one file does nothing")
{
	make_file("f");
	OK(link("f", "g"));
	OPTIONAL_OR(EINVAL, rename_with("f", "g", RENAME_EXCHANGE));
	EQ(2, links_of("f"));
	EQ(inode_of("f"), inode_of("g"));
}

CASE(wrong_flags, "flags that don't go together, or that nobody knows, are EINVAL")
{
	make_file("f");
	make_file("g");
	FAILS(EINVAL, rename_with("f", "g", RENAME_NOREPLACE | RENAME_EXCHANGE));
	FAILS(EINVAL, rename_with("f", "g", RENAME_WHITEOUT | RENAME_EXCHANGE));
	FAILS(EINVAL, rename_with("f", "g", 1 << 10));
	CHECK(exists("f"));
}

CASE(whiteout, "RENAME_WHITEOUT leaves a device 0:0 in the place")
{
	need_root();
	write_text("f", "contents");
	OPTIONAL_OR(EINVAL, rename_with("f", "g", RENAME_WHITEOUT));
	SAME("contents", text_of("g"));
	EQ(S_IFCHR, type_of("f"));
	EQ(0, stat_of("f").st_rdev);
	make_dir("d");
	OK(rename_with("g", "d/g", RENAME_WHITEOUT | RENAME_NOREPLACE));
	SAME("contents", text_of("d/g"));
	EQ(S_IFCHR, type_of("g"));
}
