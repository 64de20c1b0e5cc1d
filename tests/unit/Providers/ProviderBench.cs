using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>Resources with defaults filled in, snapshots by hand, and scripts run on this machine as the engine would run them.</summary>
internal static class ProviderBench
{
    public static Resource Resource(IResourceProvider provider, string name, params (string Name, object Value)[] values)
    {
        var set = ImmutableDictionary.CreateBuilder<string, object>();
        foreach (var attribute in provider.Schema.Attributes.Where(attribute => attribute.Default is not null))
        {
            set[attribute.Name] = attribute.Default!;
        }

        foreach (var (key, value) in values)
        {
            set[key] = value;
        }

        // What members answer in tests is of the scope pg.
        return new Resource(
            new Address(provider.Schema.Type, name, provider is IGroupResourceProvider ? "pg" : "db-1"),
            new AttributeSet(set.ToImmutable())
        );
    }

    /// <summary>The policy of the group pg.</summary>
    public static GroupPolicy Policy(IGroupPolicy rules, params (string Name, object Value)[] values) =>
        new("pg", rules, SchemaDefaults.Fill(rules, new AttributeSet(values.Select(pair => KeyValuePair.Create(pair.Name, pair.Value)))));

    public static Snapshot Snapshot(params (Read Read, object? Answer)[] answers) =>
        new(answers.ToImmutableDictionary(answer => answer.Read, answer => answer.Answer));

    public static Script Render(
        this IHostResourceProvider provider,
        ResourceOperation operation,
        Resource resource,
        bool adopt = false,
        bool deleteData = false,
        params string[] changed
    ) =>
        provider.Render(
            new ResourceChange(operation, resource, changed.Length > 0 ? [.. changed] : [.. provider.Desired(resource).Keys])
            {
                Adopt = adopt,
                DeleteData = deleteData,
            }
        );

    public static ScriptResult Run(Script script) => Shell("set -eu\n" + script.Text);

    public static string Output(string text)
    {
        var result = Shell("set -eu\n" + text);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return result.Output.Trim();
    }

    public static ScriptResult Shell(string text)
    {
        using var process = Process.Start(
            new ProcessStartInfo("sh", "-s")
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            }
        )!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(text);
        process.StandardInput.Close();
        if (!process.WaitForExit(TimeSpan.FromSeconds(60)))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail("the script did not end: " + text);
        }

        return new ScriptResult(process.ExitCode, output.Result, error.Result);
    }

    /// <summary>A script as the engine runs it after an upload: a variable holds the file's path.</summary>
    public static Script WithLocalFiles(Script script) =>
        script with
        {
            Text = string.Concat(script.Uploads.Select(upload => $"{upload.Key}={Script.Quote(upload.Value)}\n")) + script.Text,
        };

    public static void Succeeds(Script script)
    {
        var result = Run(script);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
    }

    public static string Fails(Script script)
    {
        var result = Run(script);
        Assert.That(result.ExitCode, Is.Not.Zero, "it went through");
        return result.Error;
    }

    /// <summary>The answer to a read of a host that answers nothing.</summary>
    public static object? Nothing(Read read)
    {
        var snapshot = KeyBuzz.Reconciler.Providers.ReadList.Probe.Parse([read], "0", "\n0 end 0\n"u8.ToArray());
        return typeof(KeyBuzz.Reconciler.Hosts.Snapshot)
            .GetMethod("Get")!
            .MakeGenericMethod(AnswerOf(read.GetType()))
            .Invoke(snapshot, [read]);

        static Type AnswerOf(Type type) => type is { IsGenericType: true } ? type.GetGenericArguments()[0] : AnswerOf(type.BaseType!);
    }

    /// <summary>An image that the lab has built.</summary>
    public static string LabImage(string name)
    {
        var image = Output($"docker images --filter reference=kbr-lab/{name} --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | head -n 1");
        Assert.That(image, Is.Not.Empty, "the lab's images are needed: run lab/up");
        return image;
    }

    public static void OnlyAsRootWith(params string[] tools)
    {
        if (Environment.UserName != "root" || tools.Any(tool => Shell($"command -v {tool}").ExitCode != 0))
        {
            Assert.Fail($"needs root and {string.Join(", ", tools)}");
        }
    }
}
