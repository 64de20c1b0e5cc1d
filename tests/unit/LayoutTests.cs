using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>How the source is laid out, beyond what the formatter (CSharpier, checked by eng/test.sh) sees to.</summary>
public sealed partial class LayoutTests
{
    private const int Columns = 140;

    // The composition root chooses the clock.
    private const string Composed = "services.AddSingleton(TimeProvider.System);";

    // The formatter breaks no literal: text without a place to break at, and what is inside raw literals, such as scripts, may be longer.
    [Test]
    public void A_line_of_code_has_at_most_140_columns() => Assert.That(Sources().SelectMany(LongLines), Is.Empty);

    // A test turns this clock, and no other.
    [Test]
    public void Time_comes_from_the_TimeProvider_of_the_run() =>
        Assert.That(
            Sources("src", "providers")
                .SelectMany(file =>
                {
                    var text = File.ReadAllText(file).Replace(Composed, "", StringComparison.Ordinal);
                    return IsSystemTime()
                        .Matches(text)
                        .Select(found => $"{Path.GetRelativePath(Root(), file)}: {text[found.Index..].Split('\n')[0]}");
                }),
            Is.Empty
        );

    [TestCase("var now = DateTime.UtcNow;", true)]
    [TestCase("var now = DateTimeOffset.Now;", true)]
    [TestCase("var begun = Stopwatch.GetTimestamp();", true)]
    [TestCase("var begun = Environment.TickCount64;", true)]
    [TestCase("new Applier(cluster, TimeProvider.System, 10)", true)]
    [TestCase("await Task.Delay(s_poll, cancellationToken)", true)]
    [TestCase("await Task.Delay(TimeSpan.FromSeconds(3)).ConfigureAwait(false)", true)]
    [TestCase("await Task.Delay(KillAfter, CancellationToken.None).ConfigureAwait(false)", true)]
    [TestCase("limit.CancelAfter(deadline);", true)]
    [TestCase("using var limit = new CancellationTokenSource(s_deadline);", true)]
    [TestCase("using var pace = new PeriodicTimer(s_pace);", true)]
    [TestCase("await ended.WaitAsync(TimeSpan.FromSeconds(5))", true)]
    [TestCase("await ended\n    .WaitAsync(\n        deadline,\n        cancellationToken\n    );", true)]
    [TestCase("await ended\n    .WaitAsync(\n        deadline,\n        time,\n        cancellationToken\n    );", false)]
    [TestCase("Thread.Sleep(100);", true)]
    [TestCase("await Task.Delay(pause, time, cancellationToken)", false)]
    [TestCase("await Task.Delay(TimeSpan.FromSeconds(3), _connection.Time).ConfigureAwait(false)", false)]
    [TestCase("using var limit = new CancellationTokenSource(s_deadline, time);", false)]
    [TestCase("using var stop = new CancellationTokenSource();", false)]
    [TestCase("using var pace = new PeriodicTimer(s_pace, time);", false)]
    [TestCase("await ended.WaitAsync(TimeSpan.FromSeconds(5), _connection.Time)", false)]
    [TestCase("await slot.WaitAsync(CancellationToken.None)", false)]
    [TestCase("var now = time.GetUtcNow();", false)]
    public void Code_that_reads_another_clock_is_found(string code, bool expected) =>
        Assert.That(IsSystemTime().IsMatch(code), Is.EqualTo(expected));

    // eng/test.sh runs one slice where all would take too long. A fixture that depends on one of another slice would not run there.
    [Test]
    public void Every_fixture_on_a_cluster_is_in_a_slice_with_what_it_depends_on()
    {
        const string InAll = "InstallTests";
        var fixtures = Sources("tests/ha")
            .Select(File.ReadAllText)
            .Where(text => text.Contains("[TestFixture]", StringComparison.Ordinal))
            .Select(text =>
                (
                    Name: Regex.Match(text, @"public sealed class (\w+Tests)\b").Groups[1].Value,
                    Slices: Regex.Matches(text, @"\[Category\(Ha\.(Slice[1-8])\)\]").Select(found => found.Groups[1].Value).ToList(),
                    Before: Regex.Match(text, @"\[DependsOnFixture\(typeof\((\w+)\)").Groups[1].Value
                )
            )
            .ToList();
        Assert.That(fixtures, Has.Count.GreaterThan(20));

        var sliceOf = fixtures.Where(one => one.Name != InAll).ToDictionary(one => one.Name, one => one.Slices.SingleOrDefault());

        Assert.Multiple(() =>
        {
            Assert.That(sliceOf.Where(one => one.Value is null).Select(one => one.Key), Is.Empty, "without one slice");
            Assert.That(
                fixtures
                    .Where(one => one.Before is not ("" or InAll) && sliceOf[one.Before] != sliceOf[one.Name])
                    .Select(one => $"{one.Name} after {one.Before}"),
                Is.Empty
            );
        });
    }

    [Test]
    public void Every_fixture_of_the_lab_is_in_one_part() =>
        Assert.That(
            Sources("tests/lab")
                .Select(File.ReadAllText)
                .Where(text => text.Contains("[TestFixture]", StringComparison.Ordinal))
                .Where(text => Regex.Count(text, @"\[Category\(Lab\.Part[1-4]\)\]") != 1)
                .Select(text => Regex.Match(text, @"\bclass (\w+Tests)\b").Value),
            Is.Empty
        );

    private static IEnumerable<string> Sources() => Sources("src", "providers", "tests", "eng");

    private static IEnumerable<string> Sources(params string[] folders) =>
        folders
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root(), folder), "*.cs", SearchOption.AllDirectories))
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal));

    private static IEnumerable<string> LongLines(string file)
    {
        var isRaw = false;
        foreach (var (line, at) in File.ReadLines(file).Select((line, index) => (line, index + 1)))
        {
            if (Regex.Count(line, "\"\"\"") % 2 == 1)
            {
                isRaw = !isRaw;
            }
            else if (!isRaw && line.Length > Columns && !StartsWithLiteral().IsMatch(line))
            {
                yield return $"{Path.GetRelativePath(Root(), file)}:{at}";
            }
        }
    }

    private static string Root([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../.."));

    // Clocks by name; waits whose arguments name no clock.
    [GeneratedRegex(
        @"\bDateTime(Offset)?\.(Utc)?(Now|Today)\b|\bStopwatch\b|\bTickCount|\bTimeProvider\.System\b|\bThread\.Sleep\b|\.CancelAfter\("
            + @"|(Task\.Delay|new CancellationTokenSource|new PeriodicTimer|\.WaitAsync)\((?!\s*\)|[^;]*[tT]ime\b)"
            + @"(?!\s*(CancellationToken|cancellationToken|limit\.Token|[a-z]+\.Token))"
    )]
    private static partial Regex IsSystemTime();

    [GeneratedRegex("^\\s*([+:?] |select )?[$@]*\"")]
    private static partial Regex StartsWithLiteral();
}
