namespace KeyBuzz.Reconciler.Resources;

/// <summary>On destroy without deletion of data the provider's Delete still runs, with DeleteData false: it detaches the data and keeps
/// it.</summary>
public interface IReleasesOnDestroy { }
