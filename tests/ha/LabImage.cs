using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Images in the lab's registry beside those that lab/up puts there.</summary>
internal static class LabImage
{
    /// <summary>Makes an image of one of the lab's, pushes it, and answers it as cluster.yaml names images: by tag and digest.</summary>
    /// <param name="name"><c>patroni</c>, <c>haproxy</c> or <c>pgbouncer</c>.</param>
    /// <param name="tag">Its tag.</param>
    /// <param name="lines">What its Dockerfile says after FROM.</param>
    public static string Derive(string name, string tag, params string[] lines)
    {
        var inside = Lab.Images()[name.ToUpperInvariant()].Split('/')[0];
        // The registry under the address that this machine reaches it by, which its Docker trusts.
        var outside = System.Text.RegularExpressions.Regex.Replace(inside, @"^10\.(\d+)\.0\.", "127.0.$1.");
        var reference = $"{outside}/kbr/{name}:{tag}";
        var script = $"""
            set -eu
            base=$(docker images --filter reference=kbr-lab/{name} --format '{"{{.Repository}}:{{.Tag}}"}' | head -n 1)
            printf '%s\n' "FROM $base" {string.Join(' ', lines.Select(line => $"'{line}'"))} | docker build -q -t {reference} - >/dev/null
            docker push {reference} | sed -n 's/.* digest: \(sha256:[0-9a-f]*\) .*/\1/p'
            """;
        var outcome = Lab.Run(Lab.Root, "bash", "-c", script);
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        Assert.That(outcome.Output, Does.StartWith("sha256:"), outcome.All);
        return $"{inside}/kbr/{name}:{tag}@{outcome.Output.Trim()}";
    }
}
