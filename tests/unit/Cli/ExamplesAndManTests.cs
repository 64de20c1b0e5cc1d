using System.CommandLine;
using System.Diagnostics;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>The examples in the help and in the manual pages.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class ExamplesAndManTests
{
    private readonly RootCommand _root;

    public ExamplesAndManTests()
    {
        using var services = KbrCommandLine.Services();
        _root = KbrCommandLine.Create(services);
    }

    [Test]
    public void Every_command_has_examples_and_every_example_is_a_command_line_of_it()
    {
        Assert.That(CommandExamples.Commands, Is.EquivalentTo(CommandTree.All(_root).Select(CommandTree.Path)));
        Assert.Multiple(() =>
        {
            foreach (var command in CommandTree.All(_root))
            {
                var examples = CommandExamples.Of(command);
                Assert.That(examples, Is.Not.Empty, CommandTree.Path(command));
                foreach (var (line, does) in examples)
                {
                    Assert.That(line, Does.StartWith("kbr "));
                    // The parser knows no single quotes.
                    var parsed = _root.Parse(line["kbr ".Length..].Replace('\'', '"'));
                    Assert.That(parsed.Errors, Is.Empty, line);
                    Assert.That(does, Is.Not.Empty.And.Not.EndsWith("."), line);
                    if (command is not RootCommand)
                    {
                        Assert.That(CommandTree.Path(parsed.CommandResult.Command), Does.StartWith(CommandTree.Path(command)), line);
                    }
                }
            }
        });
    }

    [Test]
    public void The_help_of_every_command_ends_with_its_examples()
    {
        foreach (var command in CommandTree.All(_root))
        {
            var help = HelpOf(command);
            Assert.That(help, Does.Contain("Usage:").And.Contain("Examples:\n  " + CommandExamples.Of(command)[0].Line));
            Assert.That(help.Split('\n').Select(line => line.Length), Has.All.LessThan(240), CommandTree.Path(command));
        }
    }

    [Test]
    public void Every_option_with_a_value_names_it_in_the_help_and_in_the_manual_page()
    {
        var lacking = Checked(command => command.Options).Where(one => !IsName(one.Option.HelpName));
        Assert.That(lacking.Select(one => $"{one.Command} {one.Option.Name}: {one.Option.HelpName}"), Is.Empty);
        Assert.Multiple(() =>
        {
            foreach (var (path, option) in Checked(CommandTree.OptionsOf))
            {
                var command = CommandTree.All(_root).Single(one => CommandTree.Path(one) == path);
                var page = ManPage.Of(command, "1.2.3").Replace("\\-", "-", StringComparison.Ordinal);
                Assert.That(HelpOf(command), Does.Match($@"{option.Name} (<{option.HelpName}>|\[<{option.HelpName}>\])"), path);
                Assert.That(
                    page,
                    option.Arity.MinimumNumberOfValues == 0
                        ? Does.Contain(option.Name)
                        : Does.Contain($"{option.Name} {option.HelpName}\n"),
                    path
                );
            }
        });

        IEnumerable<(string Command, Option Option)> Checked(Func<Command, IEnumerable<Option>> options) =>
            CommandTree
                .All(_root)
                .SelectMany(command => options(command).Select(option => (CommandTree.Path(command), option)))
                .Where(one => one.option.ValueType != typeof(bool) && one.option.Arity.MaximumNumberOfValues > 0);

        static bool IsName(string? text) => text is { Length: > 0 } && text.All(letter => letter is (>= 'A' and <= 'Z') or '-');
    }

    [TestCase("plan", "--out <FILE>", "--target <ADDRESS>", "--print-probe <HOST>", "--parallelism <NUMBER>")]
    [TestCase("restore", "--to <POINT>", "--on <HOST>", "--lost <HOST>", "--lock-timeout <DURATION>")]
    [TestCase("switchover", "--to <HOST>")]
    [TestCase("recover", "--from <HOST>", "--lost <HOST>", "--confirm <NAME>")]
    [TestCase("init", "--from <FILE>", "--haproxy-image <IMAGE>", "--virtual-ip <IP>")]
    [TestCase("man", "--out <FOLDER>")]
    public void The_help_names_values_by_what_they_are(string command, params string[] options)
    {
        foreach (var option in options)
        {
            Assert.That(HelpOf(_root.Subcommands.Single(one => one.Name == command)), Does.Contain(option + " "));
        }
    }

    private string HelpOf(Command command)
    {
        using var output = new StringWriter();
        string[] words = [.. CommandTree.Path(command).Split(' ').Skip(1), "--help"];
        Assert.That(_root.Parse(words).Invoke(new InvocationConfiguration { Output = output }), Is.Zero);
        return output.ToString();
    }

    [Test]
    public void A_manual_page_has_every_option_and_example_and_the_same_bytes_each_time()
    {
        foreach (var command in CommandTree.All(_root))
        {
            var page = ManPage.Of(command, "1.2.3");
            var plain = page.Replace("\\-", "-", StringComparison.Ordinal);
            Assert.That(page, Is.EqualTo(ManPage.Of(command, "1.2.3")));
            Assert.That(page, Does.StartWith(".TH \"KBR").And.Contain("\n.SH NAME\n").And.Contain("\"kbr 1.2.3\""));
            foreach (var option in command.Options.Where(option => !option.Hidden))
            {
                Assert.That(plain, Does.Contain(option.Name), CommandTree.Path(command));
                Assert.That(plain, Does.Contain(option.Description!.Split('.')[0]), CommandTree.Path(command));
            }

            foreach (var example in CommandExamples.Of(command))
            {
                Assert.That(plain, Does.Contain($".B {example.Line}\n"));
            }
        }
    }

    [Test]
    public void Kbr_man_writes_a_page_for_each_command_and_refuses_what_is_no_command()
    {
        var folder = Directory.CreateTempSubdirectory("kbr-man-").FullName;
        try
        {
            Assert.That(Run("man", "--out", folder + "/man1").Exit, Is.Zero);
            Assert.That(
                Directory.GetFiles(folder + "/man1").Select(Path.GetFileName),
                Is.EquivalentTo(CommandTree.All(_root).Select(ManPage.FileOf)).And.Contain("kbr.1").And.Contain("kbr-state-show.1")
            );
            Assert.That(Run("man", "state", "show").Output, Is.EqualTo(File.ReadAllText(folder + "/man1/kbr-state-show.1")));
            Assert.That(Run("man", "state", "nothing").Output, Does.StartWith("Error: kbr state has no command 'nothing'"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static (int Exit, string Output) Run(params string[] words)
    {
        using var process = Process.Start(
            new ProcessStartInfo(KbrProgram.Path, words) { RedirectStandardOutput = true, RedirectStandardError = true }
        )!;
        var output = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }
}
