namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Where a person reads: writes whole lines, coloured when asked, and lets no secret through.</summary>
internal sealed class Terminal(TextWriter output, TextWriter error, bool color)
{
    private readonly Lock _gate = new();
    private Func<string, string> _mask = text => text;

    /// <summary>A colour by what it means.</summary>
    internal enum Tone
    {
        Plain,
        Added,
        Removed,
        Changed,
        Faint,
        Bold,
    }

    /// <summary>From here on every line goes through this first.</summary>
    public void MaskWith(Func<string, string> mask) => _mask = mask;

    public void Line(string text = "", Tone tone = Tone.Plain) => Write(output, text, tone);

    public void ErrorLine(string text = "", Tone tone = Tone.Plain) => Write(error, text, tone);

    private void Write(TextWriter writer, string text, Tone tone)
    {
        var safe = Printable(_mask(text));
        lock (_gate)
        {
            writer.WriteLine(color && tone != Tone.Plain ? $"\e[{Code(tone)}m{safe}\e[0m" : safe);
        }
    }

    private static string Code(Tone tone) => tone switch
    {
        Tone.Added => "32",
        Tone.Removed => "31",
        Tone.Changed => "33",
        Tone.Faint => "2",
        _ => "1",
    };

    // What comes from a host must not steer the operator's terminal.
    private static string Printable(string text) =>
        text.Any(IsControl) ? string.Concat(text.Select(c => IsControl(c) ? '\uFFFD' : c)) : text;

    private static bool IsControl(char c) => char.IsControl(c) && c is not ('\n' or '\t');
}
