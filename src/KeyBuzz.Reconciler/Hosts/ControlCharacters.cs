using System.Buffers;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Finds control characters: those of <see cref="char.IsControl(char)"/>.</summary>
internal static class ControlCharacters
{
    /// <summary>All of them.</summary>
    public static readonly string All = string.Concat(Enumerable.Range(0, 0xA0).Select(code => (char)code).Where(char.IsControl));

    private static readonly SearchValues<char> s_all = SearchValues.Create(All);
    private static readonly SearchValues<char> s_butTab = SearchValues.Create(All.Replace("\t", "", StringComparison.Ordinal));

    /// <summary>Whether a text has one.</summary>
    public static bool AreIn(string text) => text.AsSpan().ContainsAny(s_all);

    /// <summary>Whether a text has one that is not a tab.</summary>
    public static bool OtherThanTabAreIn(string text) => text.AsSpan().ContainsAny(s_butTab);
}
