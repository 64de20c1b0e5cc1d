using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Ballast;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.Container;
using KeyBuzz.Reconciler.Providers.Database;
using KeyBuzz.Reconciler.Providers.Directory;
using KeyBuzz.Reconciler.Providers.Extension;
using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Providers.SystemdTimer;
using KeyBuzz.Reconciler.Providers.SystemdUnit;
using KeyBuzz.Reconciler.Providers.Volume;
using KeyBuzz.Reconciler.Resources;
using Microsoft.Extensions.DependencyInjection;

namespace KeyBuzz.Reconciler.Providers;

/// <summary>Every resource type there is, a line each.</summary>
public static class Registration
{
    /// <summary>Types that are policies of a group now, by which older records are known.</summary>
    public static IReadOnlySet<string> FormerPolicyTypes { get; } = ImmutableHashSet.Create("patroni_cluster", "sql_proxies");

    /// <summary>Adds the providers and the precondition checks.</summary>
    public static void AddProviders(IServiceCollection services)
    {
        services.AddSingleton<IResourceProvider>(_ => new VolumeProvider());
        services.AddSingleton<IResourceProvider>(_ => new DirectoryProvider());
        services.AddSingleton<IResourceProvider>(_ => new BallastProvider());
        services.AddSingleton<IResourceProvider>(_ => new ConfigFileProvider());
        services.AddSingleton<IResourceProvider>(all => new CertificateProvider(all.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IResourceProvider>(_ => new ImageProvider());
        services.AddSingleton<IResourceProvider>(_ => new ContainerProvider());
        services.AddSingleton<IResourceProvider>(_ => new SystemdUnitProvider());
        services.AddSingleton<IResourceProvider>(_ => new SystemdTimerProvider());
        services.AddSingleton<IResourceProvider>(_ => new PatroniConfigProvider());
        services.AddSingleton<IResourceProvider>(_ => new RoleProvider());
        services.AddSingleton<IResourceProvider>(_ => new DatabaseProvider());
        services.AddSingleton<IResourceProvider>(_ => new ExtensionProvider());
        services.AddSingleton<IResourceProvider>(_ => new BackupRepositoryProvider());
        services.AddSingleton<IPreconditionChecks>(_ => new PreconditionChecks());
    }
}
