//! What can be set, and how a store is reached.
//!
//! A section is read as one flat table, so that a misspelt field can be named; what all stores have is therefore written into each
//! of them by a macro.

use crate::ObjectStoreBackend;
use object_store::{
    ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
};
use prefix_indexer_cache::{ByteSize, CacheError, Period, Result};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// The smallest part that every store takes.
const SMALLEST_PART: u64 = 5 << 20;

/// What is set alike for every store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What every object's name begins with, before a `/`. Default: nothing.
    pub prefix: String,
    /// Values from this size on are sent in parts, several at a time. Default 16 MiB, at least 5 MiB.
    pub multipart_threshold: ByteSize,
    /// How many requests of one many-key call are under way at once. Default 32.
    pub concurrency: usize,
    /// How often a request is sent anew that the store could not answer (5xx, a broken connection). Default 2.
    pub retries: usize,
    /// How long one request may take, its answer included. Default 30 s.
    pub request_timeout: Period,
    /// How long connecting may take. Default 2 s.
    pub connect_timeout: Period,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            prefix: String::new(),
            multipart_threshold: ByteSize(16 << 20),
            concurrency: 32,
            retries: 2,
            request_timeout: Period(Duration::from_secs(30)),
            connect_timeout: Period(Duration::from_secs(2)),
        }
    }
}

impl Settings {
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let wrong = |why: &str| Err(CacheError::config(name, why));
        match self {
            _ if self.multipart_threshold.0 < SMALLEST_PART => wrong("multipart_threshold is less than 5MiB"),
            _ if self.concurrency == 0 => wrong("concurrency is zero"),
            _ if self.request_timeout.0.is_zero() || self.connect_timeout.0.is_zero() => wrong("a time-out is zero"),
            _ => Ok(()),
        }
    }

    fn client(&self, endpoint: Option<&str>) -> ClientOptions {
        crate::install_tls_provider();
        ClientOptions::new()
            .with_timeout(self.request_timeout.0)
            .with_connect_timeout(self.connect_timeout.0)
            .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")))
    }

    fn retry(&self) -> RetryConfig {
        RetryConfig { max_retries: self.retries, retry_timeout: self.request_timeout.0, ..RetryConfig::default() }
    }
}

macro_rules! config {
    ($(#[$docs:meta])* $name:ident { $($(#[$field_docs:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_docs])* pub $field: $type,)*
            /// See [`Settings::prefix`].
            pub prefix: String,
            /// See [`Settings::multipart_threshold`].
            pub multipart_threshold: ByteSize,
            /// See [`Settings::concurrency`].
            pub concurrency: usize,
            /// See [`Settings::retries`].
            pub retries: usize,
            /// See [`Settings::request_timeout`].
            pub request_timeout: Period,
            /// See [`Settings::connect_timeout`].
            pub connect_timeout: Period,
        }

        impl Default for $name {
            fn default() -> $name {
                let Settings { prefix, multipart_threshold, concurrency, retries, request_timeout, connect_timeout } =
                    Settings::default();
                $name {
                    $($field: $default,)*
                    prefix,
                    multipart_threshold,
                    concurrency,
                    retries,
                    request_timeout,
                    connect_timeout,
                }
            }
        }

        impl $name {
            fn settings(&self) -> Settings {
                Settings {
                    prefix: self.prefix.clone(),
                    multipart_threshold: self.multipart_threshold,
                    concurrency: self.concurrency,
                    retries: self.retries,
                    request_timeout: self.request_timeout,
                    connect_timeout: self.connect_timeout,
                }
            }
        }
    };
}

config! {
    /// Configuration of a tier in S3, or in a store that speaks its language.
    S3Config {
        /// The bucket. Required; it must exist.
        bucket: String = String::new(),
        /// The region. Default: as the environment says (`AWS_REGION`), else `us-east-1`.
        region: Option<String> = None,
        /// Where, if not at Amazon: `http://HOST:PORT` or `https://`.
        endpoint: Option<String> = None,
        /// Whether the bucket is part of the host's name. Default no.
        virtual_hosted_style: bool = false,
        /// Whether the store can delete many objects in one request. Default yes.
        bulk_delete: bool = true,
    }
}

config! {
    /// Configuration of a tier in Google Cloud Storage.
    GcsConfig {
        /// The bucket. Required; it must exist.
        bucket: String = String::new(),
        /// Where, if not at Google.
        endpoint: Option<String> = None,
    }
}

config! {
    /// Configuration of a tier in Azure Blob Storage.
    AzureConfig {
        /// The container. Required; it must exist.
        #[serde(alias = "bucket")]
        container: String = String::new(),
        /// The storage account. Default: as the environment says (`AZURE_STORAGE_ACCOUNT_NAME`).
        account: Option<String> = None,
        /// Where, if not at Azure: for an emulator, with the account as its path.
        endpoint: Option<String> = None,
    }
}

impl S3Config {
    /// Opens the tier. Nothing is sent: a store that cannot be reached shows at the first request.
    ///
    /// # Errors
    /// [`CacheError::Config`] for settings or credentials that make no sense.
    pub fn open(self) -> Result<ObjectStoreBackend> {
        let settings = self.settings();
        required("s3", "bucket", &self.bucket)?;
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&self.bucket)
            .with_virtual_hosted_style_request(self.virtual_hosted_style)
            .with_disable_bulk_delete(!self.bulk_delete)
            .with_client_options(settings.client(self.endpoint.as_deref()))
            .with_retry(settings.retry());
        if let Some(region) = self.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        over("s3", builder.build(), settings)
    }
}

impl GcsConfig {
    /// As [`S3Config::open`].
    ///
    /// # Errors
    /// As [`S3Config::open`].
    pub fn open(self) -> Result<ObjectStoreBackend> {
        let settings = self.settings();
        required("gcs", "bucket", &self.bucket)?;
        let mut builder = GoogleCloudStorageBuilder::from_env()
            .with_bucket_name(&self.bucket)
            .with_client_options(settings.client(self.endpoint.as_deref()))
            .with_retry(settings.retry());
        if let Some(endpoint) = self.endpoint {
            builder = builder.with_base_url(&endpoint);
        }
        over("gcs", builder.build(), settings)
    }
}

impl AzureConfig {
    /// As [`S3Config::open`].
    ///
    /// # Errors
    /// As [`S3Config::open`].
    pub fn open(self) -> Result<ObjectStoreBackend> {
        let settings = self.settings();
        required("azure", "container", &self.container)?;
        let mut builder = MicrosoftAzureBuilder::from_env()
            .with_container_name(&self.container)
            .with_client_options(settings.client(self.endpoint.as_deref()))
            .with_retry(settings.retry());
        if let Some(account) = self.account {
            builder = builder.with_account(account);
        }
        if let Some(endpoint) = self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        over("azure", builder.build(), settings)
    }
}

fn required(name: &'static str, field: &str, value: &str) -> Result<()> {
    if value.is_empty() { Err(CacheError::config(name, format_args!("{field} is missing"))) } else { Ok(()) }
}

fn over<S: ObjectStore>(
    name: &'static str,
    built: object_store::Result<S>,
    settings: Settings,
) -> Result<ObjectStoreBackend> {
    let store = built.map_err(|error| CacheError::config(name, error))?;
    ObjectStoreBackend::over(name, Arc::new(store), settings)
}
