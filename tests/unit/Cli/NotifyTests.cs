using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

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
        File.WriteAllText($"{_folder}/bin/kbr", $"#!/bin/sh\ncat '{_folder}/said'; exit \"$(cat '{_folder}/code')\"\n");
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
    public void It_posts_when_the_conclusion_changes_and_never_for_a_figure_that_grows()
    {
        Assert.That(Says(0, "keybuzz-pg is healthy. Writes: OK. Redundancy: 3 of 3."), Is.Empty, "all is well the first time");
        Assert.That(
            Says(2, "\nkeybuzz-pg: Redundancy: 2 of 3. Cause: lag: \"db-2\" 12 MiB behind\n\nNOT OK lag"),
            Is.EqualTo(new[] { """{"text": "kbr status: keybuzz-pg: Redundancy: 2 of 3. Cause: lag: \"db-2\" 12 MiB behind"}""" })
        );
        Assert.That(Says(2, "keybuzz-pg: Redundancy: 2 of 3. Cause: lag: \"db-2\" 1.5 GiB behind"), Is.Empty);
        Assert.That(Says(2, "keybuzz-pg: Redundancy: 1 of 3. Cause: lag: \"db-2\" 1.5 GiB behind"), Has.Length.EqualTo(1));
        const string failing =
            "keybuzz-pg: Redundancy: 1 of 3. Cause: archive: fails at 0000000100000000000000{0}, {1} failures; {1} of 97 waiting";
        Assert.That(Says(2, string.Format(CultureInfo.InvariantCulture, failing, "0A", 9)), Has.Length.EqualTo(1));
        Assert.That(Says(2, string.Format(CultureInfo.InvariantCulture, failing, "1F", 117)), Is.Empty);
        Assert.That(Says(2, "keybuzz-pg: Redundancy: 1 of 3. Cause: db-2 unreachable"), Has.Length.EqualTo(1));
        Assert.That(Says(2, "keybuzz-pg: Redundancy: 1 of 3. Cause: db-3 unreachable"), Has.Length.EqualTo(1));
        Assert.That(Says(2, "3 changes", "drift"), Has.Length.EqualTo(1), "it has a state of its own, and begins with trouble");
        Assert.That(Says(0, "keybuzz-pg is healthy. Writes: OK. Redundancy: 3 of 3."), Has.Length.EqualTo(1));
        Assert.That(Says(0, "keybuzz-pg is healthy. Writes: OK. Redundancy: 3 of 3."), Is.Empty);
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

    // The messages that arrived meanwhile.
    private string[] Says(int code, string said, string command = "status", int exitCode = 0)
    {
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
