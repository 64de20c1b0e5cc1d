using System.Collections.Immutable;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using Microsoft.Extensions.DependencyInjection;

namespace KeyBuzz.Reconciler.Tests.Blueprints.Web;

/// <summary>The <c>web</c> section: a page on every host of a role.</summary>
internal sealed class WebBlueprint : IBlueprint
{
    public string Key => "web";

    public IReadOnlyCollection<string> PlainNames => [];

    /// <summary>Registers the blueprint and what it adds: all that makes kbr know it.</summary>
    public static void AddTo(IServiceCollection services)
    {
        services.AddSingleton<IBlueprint>(_ => new WebBlueprint());
        services.AddSingleton<IBlueprintCommands>(_ => new WebCommands());
    }

    public BlueprintExpansion Expand(SectionReader section, BlueprintContext context)
    {
        section.Allow("role", "page", "text", "expect");
        var role = section.Word("role", required: true)?.Value;
        var text = section.Word("text", required: true)?.Value;
        if (role is null || text is null)
        {
            return BlueprintExpansion.Empty;
        }

        var site = new WebSite(
            [.. context.Hosts.All.Where(host => host.Role == role)],
            section.HostPath("page", "/srv/index.html"),
            section.Word("expect")?.Value ?? text
        );
        var schema = context.Providers.First(provider => provider.Schema.Type == "config_file").Schema;
        var attributes = AttributeSet.Empty.With("path", site.Page).With("content", SecretText.Plain(text + "\n"));
        return new BlueprintExpansion(
            [],
            [
                .. site.Hosts.Select(host => new Resource(
                    new Address("config_file", "page", host.Name),
                    SchemaDefaults.Fill(schema, attributes),
                    section.At
                )),
            ],
            []
        )
        {
            Model = site,
        };
    }

    public IEnumerable<CredentialNeeded> CredentialsNeeded(SectionReader section, string cluster) => [];
}

/// <summary>The section as it was read.</summary>
/// <param name="Hosts">The hosts with the page.</param>
/// <param name="Page">Where it is.</param>
/// <param name="Expected">The text that a healthy page has.</param>
internal sealed record WebSite(ImmutableArray<Host> Hosts, string Page, string Expected);
