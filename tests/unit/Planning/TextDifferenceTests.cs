using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

[TestFixture]
public sealed class TextDifferenceTests
{
    private static AttributeValue Wanted(string password) => AttributeValue.OfText(new SecretText(
        [new("a = 1\npassword = ", false), new(password, true), new("\nb = 2\n", false)]));

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

    [Test]
    public void A_new_text_is_shown_whole_with_its_secrets_masked()
    {
        Assert.That(TextDifference.Lines(null, Wanted("new-one")), Is.EqualTo(new[] { "+a = 1", "+password = (secret)", "+b = 2" }));
    }
}
