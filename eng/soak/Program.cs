using System.CommandLine;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Soak;

var file = new Option<string>("--file") { Description = "The lab's cluster file.", Required = true };
var minutes = new Option<double>("--minutes")
{
    Description = "After that many minutes no further event is begun.",
    DefaultValueFactory = _ => 20,
};
var events = new Option<int>("--events") { Description = "At most so many events.", DefaultValueFactory = _ => 1000 };
var seed = new Option<int>("--seed") { Description = "The sequence of events follows from it.", DefaultValueFactory = _ => 1 };
var kinds = new Option<SoakKind[]>("--kinds") { Description = "Only these kinds of events.", AllowMultipleArgumentsPerToken = true };
var asynchronous = new Option<bool>("--asynchronous")
{
    Description = "Without synchronous replication: lost rows are counted and are no failure.",
};
var image = new Option<string?>("--image") { Description = "Another image for the members, by tag and digest." };
var folder = new Option<string>("--out") { Description = "Where the reports go.", DefaultValueFactory = _ => "artifacts/soak" };
var root = new RootCommand(
    "Writes through both front ends of the lab's cluster while things are changed and broken, and judges "
        + "the history. Exit 0 passed, 1 failed."
)
{
    file,
    minutes,
    events,
    seed,
    kinds,
    asynchronous,
    image,
    folder,
};
root.SetAction(
    async (parsed, stop) =>
    {
        ThreadPool.SetMinThreads(32, 32);
        Directory.CreateDirectory(parsed.GetValue(folder)!);
        try
        {
            var synchronous = !parsed.GetValue(asynchronous);
            var number = parsed.GetValue(seed);
            var run = new SoakRun(
                new SoakLab(parsed.GetValue(file)!, synchronous, Console.Error.WriteLine),
                parsed.GetValue(image),
                Console.Error.WriteLine
            );
            var chosen = parsed.GetValue(kinds) is { Length: > 0 } some ? run.Kinds.Intersect(some) : run.Kinds;
            var history = await run.RunAsync(
                number,
                synchronous,
                SoakPlan.Of(number, chosen, parsed.GetValue(events)),
                TimeSpan.FromMinutes(parsed.GetValue(minutes)),
                stop
            );
            var verdict = HistoryVerdict.Of(history);
            var name = Path.Combine(parsed.GetValue(folder)!, $"seed-{number}{(synchronous ? "" : "-asynchronous")}");
            await File.WriteAllTextAsync(name + ".json", SoakReport.Json(verdict), CancellationToken.None);
            await File.WriteAllTextAsync(name + ".md", SoakReport.Markdown(verdict), CancellationToken.None);
            await File.WriteAllTextAsync(name + ".tsv", SoakReport.History(history), CancellationToken.None);
            Console.WriteLine(SoakReport.Markdown(verdict));
            Console.Write(SoakReport.Text(verdict));
            return verdict.Failures.IsEmpty ? 0 : 1;
        }
        catch (SoakException exception)
        {
            Console.Error.WriteLine("FAILED: " + exception.Message);
        }
        catch (DiagnosticException exception)
        {
            Console.Error.WriteLine("FAILED: " + string.Join("; ", exception.Diagnostics.Select(diagnostic => diagnostic.Summary)));
        }

        return 1;
    }
);
return await root.Parse(args).InvokeAsync();
