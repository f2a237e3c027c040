/**
 * Keys of Centrifugo 6 that mean nothing here. A user who brings a config file from Centrifugo is told so, and not that
 * the keys are typos.
 */

/** Sections at the top of the file. */
const SECTIONS =
  "admin broker consumers controller debug enable_unreleased_features graphite grpc_api init map_broker opentelemetry pid_file presence_manager proxies shared_poll swagger uni_grpc uni_http_stream uni_sse uni_websocket usage_stats webtransport";

/** Keys in sections that are known. */
const INSIDE: Readonly<Record<string, string>> = {
  http_server: "tls_autocert tls_external internal_tls http3 h2c_external",
  "http_server.tls": "server_ca_pem client_ca_pem insecure_skip_verify server_name",
  client:
    "presence_update_interval concurrency channel_position_check_delay channel_position_max_time_lag connection_limit connection_rate_limit connect_include_server_time insecure_skip_token_signature_verify user_id_http_header connect_code_to_unidirectional_disconnect",
  "client.token": "audience_regex issuer_regex insecure_skip_jwks_endpoint_safety_check",
  "client.subscription_token": "audience_regex issuer_regex insecure_skip_jwks_endpoint_safety_check",
  channel: "publication_data_format private_prefix namespace_boundary user_boundary user_separator",
  "channel.proxy": "subscribe_stream map_publish map_remove shared_poll_refresh",
  rpc: "namespaces ping namespace_boundary",
  "rpc.without_namespace": "proxy_name",
  http_api: "external",
  websocket:
    "disabled compression_min_size compression_level read_buffer_size use_write_buffer_pool write_buffer_size write_timeout",
  sse: "max_request_body_size",
  http_stream: "max_request_body_size",
  emulation: "max_request_body_size",
  "engine.redis":
    "connect_timeout io_timeout client_name force_resp2 cluster_address tls sentinel_address sentinel_user sentinel_password sentinel_master_name sentinel_client_name sentinel_tls replica_client history_use_lists presence_ttl presence_hash_field_ttl presence_user_mapping",
  log: "file",
  node: "info_metrics_aggregate_interval",
};

/** Keys of the options of a namespace. */
const OPTIONS =
  "map_clients_presence_channel_prefix map_users_presence_channel_prefix publication_data_format subscribe_proxy_name publish_proxy_name sub_refresh_proxy_name subscribe_stream_proxy_enabled subscribe_stream_proxy_name subscribe_stream_proxy_bidirectional subscription_type map shared_poll";
/** Keys of an endpoint. */
const ENDPOINT = "grpc_metadata grpc";
const ENDPOINT_HTTP = "tls status_to_code_transforms";

/** True for a key of Centrifugo that means nothing here. `section` is the path of the section around it. */
export function isForeignKey(section: string, name: string): boolean {
  return namesIn(section).split(" ").includes(name);
}

function namesIn(section: string): string {
  if (section === "") return SECTIONS;
  if (/^channel\.(without_namespace|namespaces\[\d+\])$/.test(section)) return OPTIONS;
  if (/^(client|channel|rpc)\.proxy(\.\w+)?\.http$/.test(section)) return ENDPOINT_HTTP;
  const own = INSIDE[section] ?? "";
  return /^((client|channel)\.proxy\.\w+|rpc\.proxy)$/.test(section) ? `${own} ${ENDPOINT}` : own;
}
