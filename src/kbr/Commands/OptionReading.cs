using System.CommandLine;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>How commands read their options: each reads only what it offers.</summary>
public static class OptionReading
{
    /// <summary>Told which option of which command was read; for the test that every option that is offered is read.</summary>
    public static Action<Command, Option>? Observed { get; set; }

    /// <summary>The value of an option of this command. Throws <see cref="InvalidOperationException"/> when the command does not offer
    /// it.</summary>
    public static T? Read<T>(this ParseResult parsed, Option<T> option)
    {
        ArgumentNullException.ThrowIfNull(parsed);
        var command = parsed.CommandResult.Command;
        if (!command.Options.Contains(option))
        {
            throw new InvalidOperationException($"{command.Name} reads {option.Name} without offering it");
        }

        Observed?.Invoke(command, option);
        return parsed.GetValue(option);
    }

    /// <summary>The value of an argument.</summary>
    public static T? Read<T>(this ParseResult parsed, Argument<T> argument) => parsed.GetValue(argument);

    /// <summary>Lets the command take these options, too.</summary>
    public static Command With(this Command command, IEnumerable<Option> options)
    {
        ArgumentNullException.ThrowIfNull(command);
        ArgumentNullException.ThrowIfNull(options);
        foreach (var option in options)
        {
            command.Options.Add(option);
        }

        return command;
    }

    /// <summary>An option that takes a time such as <c>30s</c>, as cluster.yaml has it; zero when it is left out.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="description">Its sentence in the help.</param>
    public static Option<TimeSpan> Duration(string name, string description) =>
        new(name)
        {
            Description = description,
            HelpName = "DURATION",
            CustomParser = result =>
            {
                var word = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
                if (ValueSyntax.TryParseDuration(word, out var duration))
                {
                    return duration;
                }

                result.AddError($"{name} must be a time such as 500ms, 30s, 5m or 1h, not '{word}'");
                return TimeSpan.Zero;
            },
        };

    /// <summary>An option that takes a whole number.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="description">Its sentence in the help.</param>
    /// <param name="least">The smallest it takes.</param>
    /// <param name="preset">Its value when it is left out; null for 0, which the help does not name.</param>
    public static Option<int> WholeNumber(string name, string description, int least, int? preset) =>
        new(name)
        {
            Description = description,
            DefaultValueFactory = preset is { } value ? _ => value : null!,
            CustomParser = result =>
            {
                var word = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
                if (
                    int.TryParse(
                        word,
                        System.Globalization.NumberStyles.None,
                        System.Globalization.CultureInfo.InvariantCulture,
                        out var number
                    )
                    && number >= least
                )
                {
                    return number;
                }

                result.AddError($"{name} must be a whole number of at least {least}, not '{word}'");
                return preset ?? 0;
            },
        };
}
