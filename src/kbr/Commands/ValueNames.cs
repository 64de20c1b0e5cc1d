using System.CommandLine;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The names of options' values, as in <c>--out FILE</c>: help and manual pages show them, and a shell completes hosts and
/// addresses by them.</summary>
internal static class ValueNames
{
    /// <summary>An address of a resource.</summary>
    public const string Address = "ADDRESS";

    /// <summary>The name of a host.</summary>
    public const string Host = "HOST";

    /// <summary>A directory.</summary>
    public const string Folder = "FOLDER";

    // Every other value is named as its option is: --format FORMAT.
    private static readonly (string Option, string Value)[] s_names =
    [
        ("--adopt", Address),
        ("--as", "USER"),
        ("--at", "TIME"),
        ("--base", "IMAGE"),
        ("--clients", "NETWORK"),
        ("--confirm", "NAME"),
        ("--end", Host),
        ("--file", "FILE"),
        ("--from", "FILE"),
        ("--haproxy-image", "IMAGE"),
        ("--ignore", Address),
        ("--keepalived-image", "IMAGE"),
        ("--lines", "NUMBER"),
        ("--load-balancer", "IP"),
        ("--lost", Host),
        ("--members", "HOSTS"),
        ("--on", Host),
        ("--operator", "NETWORK"),
        ("--out", "FILE"),
        ("--parallelism", "NUMBER"),
        ("--pgbouncer-image", "IMAGE"),
        ("--postgres", "VERSION"),
        ("--print-probe", Host),
        ("--proxies", "HOSTS"),
        ("--reason", "TEXT"),
        ("--replace", Address),
        ("--runbooks", "URL"),
        ("--since", "TIME"),
        ("--svg", "FILE"),
        ("--target", Address),
        ("--timeout", "SECONDS"),
        ("--to", Host),
        ("--virtual-ip", "IP"),
    ];

    /// <summary>Names the value of each option that takes one and has none of its own.</summary>
    public static void AddTo(Command command)
    {
        foreach (var option in command.Options)
        {
            if (option.ValueType != typeof(bool) && option.Arity.MaximumNumberOfValues > 0 && option.HelpName is null)
            {
                option.HelpName = Of(option.Name);
            }
        }
    }

    private static string Of(string option)
    {
        foreach (var (name, value) in s_names)
        {
            if (name == option)
            {
                return value;
            }
        }

        return option.TrimStart('-').ToUpperInvariant();
    }
}
