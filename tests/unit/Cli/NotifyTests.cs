using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa.Status;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>docs/ci/kbr-notify, in a real shell with the real curl, against a web server that takes its messages.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class NotifyTests
{
    private static readonly string s_script = Path.Combine(JsonSchemas.Root, "docs/ci/kbr-notify");

    private readonly List<(string Key, string Body)> _messages = [];
    private string _folder = "";
    private HttpListener? _server;
    private HttpStatusCode _answer;

    [SetUp]
    public void SetUp()
    {
        _folder = Directory.CreateTempSubdirectory("kbr-notify-").FullName;
        Directory.CreateDirectory($"{_folder}/bin");
        File.WriteAllText(
            $"{_folder}/bin/kbr",
            $"""
            #!/bin/sh
            [ "$2 $3 $4" = '--format json --out' ] || exit 9
            [ ! -s '{_folder}/report' ] || cp '{_folder}/report' "$5"
            cat '{_folder}/said'; exit "$(cat '{_folder}/code')"

            """
        );
        File.SetUnixFileMode($"{_folder}/bin/kbr", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        _messages.Clear();
        _answer = HttpStatusCode.OK;
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            File.WriteAllText($"{_folder}/webhook", $"http://127.0.0.1:{((IPEndPoint)free.LocalEndpoint).Port}/canary-of-the-url\n");
        }

        _server = new HttpListener();
        _server.Prefixes.Add(File.ReadAllText($"{_folder}/webhook").Trim() + "/");
        _server.Start();
        _ = TakeAsync(_server);
    }

    [TearDown]
    public void TearDown()
    {
        _server?.Close();
        Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public void It_posts_when_a_verdict_changes_and_never_for_a_figure_that_grows()
    {
        Assert.That(Status([], 3, Lag(StatusVerdict.Ok, "0 bytes")), Is.Empty, "all is well the first time");
        Assert.That(
            Status([], 2, Lag(StatusVerdict.NotOk, "\"db-2\" 12 MiB behind")),
            Is.EqualTo(
                new[]
                {
                    """{"text": "kbr status: pg is not healthy. Writes: OK. Redundancy: 2 of 3. Cause: lag: \"db-2\" 12 MiB behind."}""",
                }
            )
        );
        Assert.That(Status([], 2, Lag(StatusVerdict.NotOk, "\"db-2\" 1.5 GiB behind, for 17 min")), Is.Empty);
        Assert.That(Status([], 1, Lag(StatusVerdict.NotOk, "\"db-2\" 1.5 GiB behind")), Has.Length.EqualTo(1), "the redundancy");
        Assert.That(Status(["db-2"], 1, Lag(StatusVerdict.NotOk, "unknown")), Has.Length.EqualTo(1));
        Assert.That(Status(["db-3"], 1, Lag(StatusVerdict.NotOk, "unknown")), Has.Length.EqualTo(1), "another host");
        Assert.That(Status([], 1, Units("lb-1")), Has.Length.EqualTo(1));
        Assert.That(Status([], 1, Units("lb-2")), Has.Length.EqualTo(1), "another host");
        Assert.That(Status([], 1, Units("lb-2")), Is.Empty);
        Assert.That(Says(2, "3 changes", "drift"), Has.Length.EqualTo(1), "it has a state of its own, and begins with trouble");
        Assert.That(Status([], 3, Lag(StatusVerdict.Ok, "0 bytes")), Has.Length.EqualTo(1));
        Assert.That(Status([], 3, Lag(StatusVerdict.Ok, "7 bytes")), Is.Empty);
    }

    [Test]
    public void Each_resource_that_was_changed_by_hand_makes_a_message()
    {
        static string Report(params string[] addresses) =>
            $"{{\"kind\":\"drift\",\"verdict\":\"drift\",\"resources\":[{string.Join(',', addresses.Select(one =>
                $"{{\"address\":\"{one}\",\"host\":\"db-1\",\"change\":\"changed\",\"ignored\":false}}"))}]}}\n";
        Assert.That(Says(2, "1 changed", "drift", report: Report("config_file.a@db-1")), Has.Length.EqualTo(1));
        Assert.That(Says(2, "1 changed", "drift", report: Report("config_file.a@db-1")), Is.Empty);
        Assert.That(Says(2, "1 changed", "drift", report: Report("config_file.b@db-1")), Has.Length.EqualTo(1));
    }

    [Test]
    public void What_cannot_be_posted_is_posted_later_each_once_in_its_order()
    {
        _answer = HttpStatusCode.ServiceUnavailable;
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1), "tried");
        _answer = HttpStatusCode.Found;
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1), "a redirection delivers nothing");
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1));
        Assert.That(Says(0, "up again", exitCode: 1), Has.Length.EqualTo(1), "the first one is tried first");
        Assert.That(_messages.Select(message => message.Key).Distinct().ToArray(), Has.Length.EqualTo(1));
        _answer = HttpStatusCode.NoContent;
        Assert.That(Says(0, "up again"), Is.EqualTo(new[] { "{\"text\": \"kbr status: down\"}", "{\"text\": \"kbr status: up again\"}" }));
        Assert.That(Says(0, "up again"), Is.Empty);
    }

    [Test]
    public void A_message_that_is_refused_for_good_is_kept_aside_and_stops_none_after_it()
    {
        _answer = HttpStatusCode.ServiceUnavailable;
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1));
        _answer = HttpStatusCode.BadRequest;
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1));
        Assert.That(Directory.GetFiles($"{_folder}/state/refused"), Has.Length.EqualTo(1));
        _answer = HttpStatusCode.OK;
        Assert.That(Says(2, "down"), Is.Empty, "it was said");
        Assert.That(Says(0, "up again"), Is.EqualTo(new[] { "{\"text\": \"kbr status: up again\"}" }));
    }

    [Test]
    public void Markup_in_what_a_host_says_is_text() =>
        Assert.That(Says(2, "<!channel> a & b"), Is.EqualTo(new[] { "{\"text\": \"kbr status: &lt;!channel&gt; a &amp; b\"}" }));

    private static StatusItem Lag(StatusVerdict verdict, string measured) => new("lag", verdict, measured);

    private static StatusItem Units(string host) =>
        new("units", StatusVerdict.NotOk, "haproxy 1/2") { Places = [new StatusPlace("haproxy", host)] };

    // What the real kbr says of such a status.
    private string[] Status(string[] unreachable, int serving, StatusItem item)
    {
        string[] causes = item.Verdict == StatusVerdict.Ok ? [] : [$"{item.Name}: {item.Measured}"];
        var conclusion = new StatusConclusion(StatusVerdict.Ok, "", serving, 3, [.. unreachable], [.. causes]);
        var report = PostgresHealth.ReportOf(
            new ClusterStatus([item], conclusion) { Measures = [new StatusMeasure("lag_bytes", "A figure.", _messages.Count)] }
        );
        var document = StatusView.Document("lab", "pg", report, "kbr plan") + "\n";
        Assert.That(JsonSchemas.Problems(document), Is.Empty);
        return Says(
            StatusCommand.ExitCodeOf(report),
            string.Join('\n', StatusView.Lines("pg", report, "kbr plan").Select(line => line.Text)),
            report: document
        );
    }

    // The messages that arrived meanwhile. Without a report, kbr could not write one.
    private string[] Says(int code, string said, string command = "status", int exitCode = 0, string report = "")
    {
        File.WriteAllText($"{_folder}/report", report);
        File.WriteAllText($"{_folder}/said", said);
        File.WriteAllText($"{_folder}/code", $"{code}");
        var before = _messages.Count;
        var start = new ProcessStartInfo(s_script, [command]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = $"{_folder}/bin:{System.Environment.GetEnvironmentVariable("PATH")}";
        start.Environment["STATE_DIRECTORY"] = $"{_folder}/state";
        start.Environment["WEBHOOK_FILE"] = $"{_folder}/webhook";
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEnd();
        Assert.That(process.WaitForExit(TimeSpan.FromSeconds(60)), Is.True);
        Assert.That(process.ExitCode, Is.EqualTo(exitCode), error);
        Assert.That(error, Does.Not.Contain("canary"));
        return [.. _messages.Skip(before).Select(message => message.Body)];
    }

    private async Task TakeAsync(HttpListener server)
    {
        try
        {
            while (true)
            {
                var context = await server.GetContextAsync();
                using var reader = new StreamReader(context.Request.InputStream);
                _messages.Add((context.Request.Headers["Idempotency-Key"]!, await reader.ReadToEndAsync()));
                context.Response.StatusCode = (int)_answer;
                context.Response.Close();
            }
        }
        catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException)
        {
            // The test is over.
        }
    }
}
