using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What kbr demands of a page: it runs and loads nothing.</summary>
internal static partial class HtmlRules
{
    private static readonly string[] s_tags =
    [
        .. "!doctype html head meta title style body h1 h2 h3 p pre span details summary code div ol li table tr td br".Split(' '),
        .. "svg defs marker path rect g text".Split(' '),
    ];

    /// <summary>Fails for a tag that kbr does not write, and for anything that a browser would fetch or run.</summary>
    public static void Check(string page)
    {
        Assert.That(page, Does.StartWith("<!doctype html>\n").And.EndWith("</html>\n"));
        Assert.That(page, Does.Contain("content=\"default-src 'none'; style-src 'unsafe-inline'\"").And.Contain("name=\"viewport\""));
        // What is within tags is kbr's own.
        var tags = Tag().Matches(page).Select(match => match.Value).ToList();
        Assert.That(tags, Has.Count.GreaterThan(15));
        Assert.That(tags.Select(tag => TagName().Match(tag).Value).Distinct(), Is.SubsetOf(s_tags));
        Assert.That(tags.Where(tag => Reference().IsMatch(tag)), Is.Empty);
        Assert.That(Loading().IsMatch(page[..page.IndexOf("</style>", StringComparison.Ordinal)]), Is.False);
    }

    [GeneratedRegex("<[!/a-zA-Z][^>]*>")]
    private static partial Regex Tag();

    [GeneratedRegex("(?<=^</?)[!a-zA-Z0-9]+")]
    private static partial Regex TagName();

    // The name of a language and a marker of the page's own are no places on a network.
    [GeneratedRegex(@"\b(src|href|action|on[a-z]+|style|formaction|poster|data)\s*=|url\((?!#kbr-arrow)", RegexOptions.IgnoreCase)]
    private static partial Regex Reference();

    [GeneratedRegex(@"@import|url\(|https?:")]
    private static partial Regex Loading();
}
