using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

[TestFixture]
public sealed class TextDifferenceTests
{
    private static AttributeValue Wanted(string password) =>
        AttributeValue.OfText(new SecretText([new("a = 1\npassword = ", false), new(password, true), new("\nb = 2\n", false)]));

    [Test]
    public void A_changed_line_is_shown_with_its_surroundings()
    {
        var lines = TextDifference.Lines(AttributeValue.OfText("a\nb\nc\n"), AttributeValue.OfText("a\nB\nc\n"));
        Assert.That(lines, Does.Contain("-b").And.Contain("+B").And.Contain(" a").And.Contain(" c"));
    }

    [Test]
    public void A_changed_secret_shows_neither_the_old_nor_the_new_one()
    {
        var text = string.Join('\n', TextDifference.Lines(AttributeValue.OfText("a = 1\npassword = old-one\nb = 2\n"), Wanted("new-one")));
        Assert.That(text, Does.Not.Contain("old-one").And.Not.Contain("new-one").And.Contain("password = (secret)"));
    }

    [Test]
    public void A_line_that_does_not_align_with_a_secret_one_is_hidden()
    {
        var text = string.Join('\n', TextDifference.Lines(AttributeValue.OfText("a = 1\npass: old-one\nb = 2\n"), Wanted("new-one")));
        Assert.That(text, Does.Not.Contain("old-one").And.Contain("(secret line differs)"));
    }

    [Test]
    public void A_line_added_by_hand_away_from_any_secret_is_shown()
    {
        var lines = TextDifference.Lines(AttributeValue.OfText("by hand\na = 1\npassword = new-one\nb = 2\n"), Wanted("new-one"));
        Assert.That(lines, Does.Contain("-by hand"));
        Assert.That(string.Join('\n', lines), Does.Not.Contain("new-one"));
    }

    [TestCase(
        "\"kb_admin\" \"SCRAM-SHA-256$4096:c2FsdA==$a:b\"",
        TestName = "A_user_that_left_a_list_of_users_is_hidden_with_its_verifier"
    )]
    [TestCase("\"mallory\" \"word\"", TestName = "A_user_added_to_a_list_of_users_by_hand_is_hidden_with_its_password")]
    [TestCase("  password: old-one", TestName = "A_secret_that_moved_is_hidden")]
    [TestCase("; password was old-one", TestName = "A_secret_in_a_comment_is_hidden")]
    [TestCase("api_token = old-one", TestName = "What_is_called_a_secret_is_hidden")]
    [TestCase("a = SCRAM-SHA-256$4096:c2FsdA==$a:b", TestName = "A_verifier_is_hidden_wherever_it_stands")]
    public void Lines_that_may_hold_a_secret_are_hidden_wherever_they_stand(string line)
    {
        var users = AttributeValue.OfText(
            new SecretText([
                new("a = 1\nb = 1\nc = 1\nd = 1\ne = 1\n\"kb_app\" \"", false),
                new("verifier", true),
                new("\"\npassword = ", false),
                new("new-one", true),
                new("\n", false),
            ])
        );
        var lines = TextDifference.Lines(
            AttributeValue.OfText(line + "\na = 1\nb = 1\nc = 1\nd = 1\ne = 1\n\"kb_app\" \"verifier\"\npassword = new-one\n"),
            users
        );
        Assert.That(lines.Skip(1).First(), Is.EqualTo("-(secret line differs)"));
    }

    [TestCase("# by hand")]
    [TestCase("a = 2")]
    [TestCase("  limit: 5MB")]
    public void Harmless_lines_of_a_text_with_secrets_are_shown(string line) =>
        Assert.That(
            TextDifference.Lines(AttributeValue.OfText(line + "\na = 1\npassword = new-one\nb = 2\n"), Wanted("new-one")),
            Does.Contain("-" + line)
        );

    [Test]
    public void A_new_text_is_shown_whole_with_its_secrets_masked()
    {
        Assert.That(TextDifference.Lines(null, Wanted("new-one")), Is.EqualTo(new[] { "+a = 1", "+password = (secret)", "+b = 2" }));
    }

    [Test]
    public void Lines_that_may_hold_a_secret_are_masked_and_equal_texts_show_nothing()
    {
        var lines = TextDifference.Lines(AttributeValue.OfText("a = 1\npass: new-one\nmore\n"), Wanted("new-one"));
        Assert.That(
            lines,
            Is.EqualTo(
                new[] { "@@ -1,3 +1,3 @@", " a = 1", "-(secret line differs)", "-(secret line differs)", "+password = (secret)", "+b = 2" }
            )
        );
        Assert.That(TextDifference.Lines(AttributeValue.OfText("a = 1\npassword = new-one\nb = 2\n"), Wanted("new-one")), Is.Empty);
    }
}
