//! The long-lived whole: ingestion, index, recommendations, telemetry.
