"""Unit tests of the style check: python3 -m unittest discover -s Tests/Lint"""

import unittest

import english


def messages(text, path="A.swift"):
    return [(finding.line, finding.message) for finding in english.check(path, text)]


class Summaries(unittest.TestCase):
    def test_each_banned_opening_is_found(self):
        for word in english.OPENINGS:
            self.assertEqual(len(messages(f"/// {word} it is.\nlet a = 1\n")), 1, word)

    def test_only_the_first_line_of_a_comment_is_a_summary(self):
        self.assertEqual(messages("/// Returns a size.\n/// What it means is below.\nfunc a()\n"), [])
        self.assertEqual(messages("/// Returns a size.\n///\n/// Where it is not known, 0.\nfunc a()\n"), [])

    def test_two_comments_have_two_summaries(self):
        text = "/// A size.\nlet a = 1\n    /// How large it is.\n    let b = 1\n"
        self.assertEqual([line for line, _ in messages(text)], [3])

    def test_a_word_that_only_begins_like_one_is_allowed(self):
        self.assertEqual(messages("/// Whoever opens it, closes it.\n/// Hash of it.\n"), [])
        self.assertEqual(messages("/// Hash of the blob.\n"), [])

    def test_ordinary_comments_and_strings_may_open_with_any_word(self):
        self.assertEqual(messages('// What follows is ordered.\nlet a = "What"\n'), [])

    def test_a_docstring_has_a_summary(self):
        self.assertEqual(len(messages('def a():\n    """How it is done."""\n', "a.py")), 1)
        self.assertEqual(messages('def a():\n    """Does it."""\n', "a.py"), [])


class Turns(unittest.TestCase):
    def test_a_turn_is_found_in_comments_and_texts(self):
        self.assertEqual(messages("// Built anew.\n"), [(1, 'banned turn "anew"')])
        self.assertEqual(messages('log("works as ever")\n'), [(1, 'banned turn "as ever"')])
        self.assertEqual(messages("# Starts by itself.\n", "run.sh"), [(1, 'banned turn "by itself"')])

    def test_a_turn_is_found_across_the_lines_of_a_comment(self):
        self.assertEqual(messages("let a = 1\n    /// Two parts, of\n    /// which one is empty.\n"), [(2, 'banned turn "of which"')])

    def test_a_part_of_a_word_is_no_turn(self):
        self.assertEqual(messages("// A janewise thing; so manyfold.\n"), [])

    def test_lines_of_code_are_not_joined(self):
        self.assertEqual(messages('let a = "of"\nlet b = which\n'), [])


class Width(unittest.TestCase):
    def test_a_comment_has_120_columns_at_most(self):
        self.assertEqual(messages("// " + "x" * 117 + "\n"), [])
        self.assertEqual(messages("// " + "x" * 118 + "\n"), [(1, "comment line of 121 columns, 120 at most")])
        self.assertEqual(messages("    # " + "x" * 118 + "\n", "a.toml"), [(1, "comment line of 124 columns, 120 at most")])

    def test_columns_are_characters(self):
        self.assertEqual(messages("// " + "→" * 117 + "\n"), [])

    def test_code_is_left_to_swift_format(self):
        self.assertEqual(messages("x" * 200 + "\n"), [])


class Pending(unittest.TestCase):
    def setUp(self):
        self.found = [english.Finding("Sources/A/B/C.swift", 1, "m"), english.Finding("Sources/A/BB/C.swift", 1, "m")]

    def test_a_pending_directory_is_not_checked(self):
        left, clean = english.judge(self.found, ["Sources/A/B"])
        self.assertEqual(([one.path for one in left], clean), (["Sources/A/BB/C.swift"], []))

    def test_a_clean_directory_must_leave_the_list(self):
        self.assertEqual(english.judge(self.found[1:], ["Sources/A/B"])[1], ["Sources/A/B"])
        self.assertEqual(english.judge([], ["Sources/A/B"]), ([], ["Sources/A/B"]))

    def test_the_list_may_have_comments(self):
        self.assertEqual(english.pending("# not yet\nSources/A/B/\n\ndeploy # last\n"), ["Sources/A/B", "deploy"])


class Modules(unittest.TestCase):
    def test_a_module_is_a_target(self):
        self.assertEqual(english.module("Sources/Node/Images/Plan/A.swift"), "Sources/Node/Images")
        self.assertEqual(english.module("Tests/BaseTests/A.swift"), "Tests/BaseTests")
        self.assertEqual(english.module("Tests/run"), "Tests")
        self.assertEqual(english.module("deploy/config.toml"), "deploy")
        self.assertEqual(english.module("Makefile"), "Makefile")


if __name__ == "__main__":
    unittest.main()
