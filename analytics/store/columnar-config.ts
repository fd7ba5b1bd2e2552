/** Name of the environment variable that hands the engine the key of its disk (32 bytes, hex). */
export const diskKeyVariable = 'SEALTRAIL_COLUMNAR_DISK_KEY'
/** Name of the environment variable that hands the engine the password of both product users. */
export const passwordVariable = 'SEALTRAIL_COLUMNAR_PASSWORD'

/** May do everything in the database of the product. */
export const writerUser = 'sealtrail'
/** May only read, within limits. Whatever people ask runs as this user. */
export const readerUser = 'sealtrail_read'
export const databaseName = 'sealtrail'

export interface ColumnarConfig {
  /** Absolute. */
  readonly directory: string
  readonly memoryLimitBytes: number
}

/**
 * Server part of the engine's configuration. The cleaner looks often, so that an erasure need not wait for it. Every table lies on an encrypted disk; nothing spills to another one.
 * Paths are absolute: the engine takes relative ones relative to the file.
 */
export function serverConfigXml(config: ColumnarConfig): string {
  const directory = escapeXml(config.directory)
  return `<clickhouse>
  <users_config>${directory}/users.xml</users_config>
  <logger><level>none</level></logger>
  <max_server_memory_usage>${config.memoryLimitBytes}</max_server_memory_usage>
  <mark_cache_size>67108864</mark_cache_size>
  <index_mark_cache_size>33554432</index_mark_cache_size>
  <keep_alive_timeout>30</keep_alive_timeout>
  <max_concurrent_queries>100</max_concurrent_queries>
  <mysql_port remove="1"/>
  <tmp_policy>encrypted</tmp_policy>
  <storage_configuration>
    <disks>
      <plain><type>local</type><path>${directory}/disk/</path></plain>
      <encrypted>
        <type>encrypted</type>
        <disk>plain</disk>
        <path>encrypted/</path>
        <algorithm>AES_256_CTR</algorithm>
        <key_hex from_env="${diskKeyVariable}"/>
      </encrypted>
    </disks>
    <policies><encrypted><volumes><main><disk>encrypted</disk></main></volumes></encrypted></policies>
  </storage_configuration>
  <merge_tree>
    <storage_policy>encrypted</storage_policy>
    <cleanup_delay_period>2</cleanup_delay_period>
    <cleanup_delay_period_random_add>0</cleanup_delay_period_random_add>
    <max_cleanup_delay_period>2</max_cleanup_delay_period>
  </merge_tree>
</clickhouse>
`
}

/**
 * Users of the engine. Its own keep-alive session must run as `default` without a password, which loopback can reach
 * too: that user may have one session, which is taken, and may start listening and count numbers, and nothing else.
 */
export function usersConfigXml(config: ColumnarConfig): string {
  const readerMemoryBytes = Math.floor(config.memoryLimitBytes / 2)
  const changeable = (setting: string, max: number) =>
    `<${setting}><min>1</min><max>${max}</max><changeable_in_readonly/></${setting}>`
  return `<clickhouse>
  <profiles>
    <default/>
    <listener><max_sessions_for_user>1</max_sessions_for_user></listener>
    <writer>
      <log_queries>0</log_queries>
      <async_insert>0</async_insert>
      <output_format_json_quote_64bit_integers>1</output_format_json_quote_64bit_integers>
    </writer>
    <reader>
      <log_queries>0</log_queries>
      <readonly>1</readonly>
      <output_format_json_quote_64bit_integers>1</output_format_json_quote_64bit_integers>
      <cancel_http_readonly_queries_on_client_close>1</cancel_http_readonly_queries_on_client_close>
      <max_execution_time>30</max_execution_time>
      <timeout_before_checking_execution_speed>0</timeout_before_checking_execution_speed>
      <max_result_rows>1000000</max_result_rows>
      <max_result_bytes>268435456</max_result_bytes>
      <result_overflow_mode>throw</result_overflow_mode>
      <max_memory_usage>${readerMemoryBytes}</max_memory_usage>
      <max_bytes_ratio_before_external_group_by>0</max_bytes_ratio_before_external_group_by>
      <max_bytes_ratio_before_external_sort>0</max_bytes_ratio_before_external_sort>
      <constraints>
        ${changeable('max_execution_time', 300)}
        ${changeable('max_result_rows', 10_000_000)}
        ${changeable('max_memory_usage', readerMemoryBytes)}
      </constraints>
    </reader>
  </profiles>
  <quotas>
    <unlimited/>
    <listen_only><interval><duration>31536000</duration><queries>2</queries></interval></listen_only>
  </quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>::1</ip><ip>127.0.0.1</ip></networks>
      <profile>listener</profile>
      <quota>listen_only</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT SELECT ON system.numbers</query>
      </grants>
    </default>
    <${writerUser}>
      <password from_env="${passwordVariable}"/>
      <networks><ip>::1</ip><ip>127.0.0.1</ip></networks>
      <profile>writer</profile>
      <quota>unlimited</quota>
      <grants>
        <query>GRANT ALL ON ${databaseName}.*</query>
        <query>GRANT TABLE ENGINE ON *</query>
        <query>GRANT SELECT ON system.*</query>
        <query>GRANT KILL QUERY ON *.*</query>
      </grants>
    </${writerUser}>
    <${readerUser}>
      <password from_env="${passwordVariable}"/>
      <networks><ip>::1</ip><ip>127.0.0.1</ip></networks>
      <profile>reader</profile>
      <quota>unlimited</quota>
      <grants>
        <query>GRANT SELECT ON ${databaseName}.*</query>
      </grants>
    </${readerUser}>
  </users>
  <access_control_improvements>
    <settings_constraints_replace_previous>true</settings_constraints_replace_previous>
  </access_control_improvements>
</clickhouse>
`
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
