/* What stands in front of a parenthesis: the words of PostgreSQL's grammar and those of its own functions that leave nothing behind in
 * the session (pg_proc of PostgreSQL 15), in one sorted table; and the functions that do. A word that is in neither is somebody's
 * function, and may do anything. FunctionCall names a function by its number, which PostgreSQL has never changed for one of its own. */
#include "session/look.h"

#include <stdlib.h>

/* clang-format off */
static const char *const known[] = {
	"abs", "acos", "acosd", "acosh", "age", "all", "analyze", "and", "any", "array", "array_agg", "array_append",
	"array_cat", "array_dims", "array_fill", "array_lower", "array_ndims", "array_position", "array_positions",
	"array_prepend", "array_remove", "array_replace", "array_to_json", "array_to_string", "array_to_tsvector",
	"array_upper", "as", "asc", "ascii", "asin", "asind", "asinh", "atan", "atan2", "atan2d", "atand", "atanh",
	"avg", "between", "bit", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor", "bool", "bool_and",
	"bool_or", "box", "bpchar", "by", "cardinality", "case", "cast", "cbrt", "ceil", "ceiling", "center", "char",
	"character", "check", "chr", "cidr", "circle", "clock_timestamp", "coalesce", "col_description", "collate", "concat",
	"concat_ws", "conflict", "convert", "convert_from", "convert_to", "copy", "corr", "cos", "cosd", "cosh", "cot", "cotd",
	"count", "covar_pop", "covar_samp", "cross", "cube", "cume_dist", "current_database", "current_date",
	"current_query", "current_schema", "current_schemas", "current_setting", "current_time", "current_timestamp",
	"current_user", "date", "date_bin", "date_part", "date_trunc", "datemultirange", "daterange", "dec", "decimal",
	"decode", "default", "degrees", "delete", "dense_rank", "desc", "distinct", "div", "do", "double",
	"elem_contained_by_range", "else", "encode", "end", "enum_first", "enum_last", "enum_range", "escape", "every",
	"except", "exists", "exp", "explain", "extract", "factorial", "family", "filter", "first", "first_value",
	"float", "float4", "float8", "floor", "for", "format", "format_type", "from", "full", "gcd", "gen_random_uuid",
	"generate_series", "generate_subscripts", "get_bit", "get_byte", "get_current_ts_config", "getdatabaseencoding",
	"greatest", "group", "grouping", "has_any_column_privilege", "has_column_privilege", "has_database_privilege",
	"has_foreign_data_wrapper_privilege", "has_function_privilege", "has_language_privilege",
	"has_parameter_privilege", "has_schema_privilege", "has_sequence_privilege", "has_server_privilege",
	"has_table_privilege", "has_tablespace_privilege", "has_type_privilege", "hashtext", "hashtextextended",
	"having", "height", "host", "hostmask", "ilike", "in", "initcap", "inner", "insert", "int", "int4",
	"int4multirange", "int4range", "int8", "int8multirange", "int8range", "integer", "intersect", "interval",
	"into", "is", "is_normalized", "isempty", "isfinite", "isnull", "join", "json_agg", "json_array_elements",
	"json_array_elements_text", "json_array_length", "json_build_array", "json_build_object", "json_each",
	"json_each_text", "json_object", "json_object_agg", "json_object_keys", "json_populate_record",
	"json_populate_recordset", "json_strip_nulls", "json_to_record", "json_to_recordset", "json_to_tsvector",
	"json_typeof", "jsonb_agg", "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length",
	"jsonb_build_array", "jsonb_build_object", "jsonb_each", "jsonb_each_text", "jsonb_insert", "jsonb_object",
	"jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_exists_tz", "jsonb_path_match",
	"jsonb_path_match_tz", "jsonb_path_query", "jsonb_path_query_array", "jsonb_path_query_array_tz",
	"jsonb_path_query_first", "jsonb_path_query_first_tz", "jsonb_path_query_tz", "jsonb_populate_record",
	"jsonb_populate_recordset", "jsonb_pretty", "jsonb_set", "jsonb_set_lax", "jsonb_strip_nulls",
	"jsonb_to_record", "jsonb_to_recordset", "jsonb_to_tsvector", "jsonb_typeof", "justify_days", "justify_hours",
	"justify_interval", "lag", "last_value", "lateral", "lcm", "lead", "leading", "least", "left", "length", "like",
	"limit", "ln", "lo_close", "lo_creat", "lo_create", "lo_export", "lo_from_bytea", "lo_get", "lo_import",
	"lo_lseek", "lo_lseek64", "lo_open", "lo_put", "lo_tell", "lo_tell64", "lo_truncate", "lo_truncate64",
	"lo_unlink", "localtime", "localtimestamp", "log", "log10", "loread", "lower", "lower_inc", "lower_inf",
	"lowrite", "lpad", "ltrim", "make_date", "make_interval", "make_time", "make_timestamp", "make_timestamptz",
	"masklen", "max", "md5", "min", "min_scale", "mod", "mode", "money", "multirange", "mxid_age", "name",
	"natural", "netmask", "network", "normalize", "not", "nothing", "notnull", "now", "nth_value", "ntile", "null",
	"nullif", "num_nonnulls", "num_nulls", "numeric", "nummultirange", "numnode", "numrange", "obj_description",
	"octet_length", "of", "offset", "oid", "on", "only", "or", "order", "outer", "over", "overlaps", "overlay",
	"parse_ident", "partition", "percent_rank", "percentile_cont", "percentile_disc", "pg_advisory_xact_lock",
	"pg_advisory_xact_lock_shared", "pg_available_extension_versions", "pg_available_extensions", "pg_backend_pid",
	"pg_blocking_pids", "pg_cancel_backend", "pg_char_to_encoding", "pg_client_encoding",
	"pg_collation_actual_version", "pg_collation_for", "pg_collation_is_visible", "pg_column_compression",
	"pg_column_is_updatable", "pg_column_size", "pg_conversion_is_visible", "pg_current_logfile",
	"pg_current_snapshot", "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_lsn",
	"pg_current_xact_id", "pg_current_xact_id_if_assigned", "pg_cursor", "pg_database_collation_actual_version",
	"pg_database_size", "pg_describe_object", "pg_encoding_max_length", "pg_encoding_to_char", "pg_export_snapshot",
	"pg_filenode_relation", "pg_function_is_visible", "pg_get_backend_memory_contexts", "pg_get_constraintdef",
	"pg_get_expr", "pg_get_function_arg_default", "pg_get_function_arguments", "pg_get_function_identity_arguments",
	"pg_get_function_result", "pg_get_function_sqlbody", "pg_get_functiondef", "pg_get_indexdef", "pg_get_keywords",
	"pg_get_object_address", "pg_get_partition_constraintdef", "pg_get_partkeydef", "pg_get_publication_tables",
	"pg_get_replica_identity_index", "pg_get_replication_slots", "pg_get_ruledef", "pg_get_serial_sequence",
	"pg_get_shmem_allocations", "pg_get_statisticsobjdef", "pg_get_statisticsobjdef_columns",
	"pg_get_statisticsobjdef_expressions", "pg_get_triggerdef", "pg_get_userbyid", "pg_get_viewdef", "pg_has_role",
	"pg_index_column_has_property", "pg_indexes_size", "pg_is_in_recovery", "pg_is_other_temp_schema",
	"pg_is_wal_replay_paused", "pg_jit_available", "pg_last_committed_xact", "pg_last_wal_receive_lsn",
	"pg_last_wal_replay_lsn", "pg_last_xact_replay_timestamp", "pg_listening_channels", "pg_lock_status",
	"pg_logical_emit_message", "pg_lsn", "pg_my_temp_schema", "pg_notification_queue_usage", "pg_notify",
	"pg_opclass_is_visible", "pg_operator_is_visible", "pg_opfamily_is_visible", "pg_partition_ancestors",
	"pg_partition_root", "pg_partition_tree", "pg_postmaster_start_time", "pg_read_binary_file", "pg_read_file",
	"pg_relation_filenode", "pg_relation_filepath", "pg_relation_is_publishable", "pg_relation_is_updatable",
	"pg_relation_size", "pg_reload_conf", "pg_safe_snapshot_blocking_pids", "pg_sequence_last_value",
	"pg_sequence_parameters", "pg_settings_get_flags", "pg_show_all_settings", "pg_show_replication_origin_status",
	"pg_size_bytes", "pg_size_pretty", "pg_sleep", "pg_sleep_for", "pg_sleep_until", "pg_snapshot_xip",
	"pg_snapshot_xmax", "pg_snapshot_xmin", "pg_stat_clear_snapshot", "pg_stat_file", "pg_stat_force_next_flush",
	"pg_stat_have_stats", "pg_stat_reset", "pg_stat_reset_replication_slot", "pg_stat_reset_shared",
	"pg_stat_reset_single_function_counters", "pg_stat_reset_single_table_counters", "pg_stat_reset_slru",
	"pg_stat_reset_subscription_stats", "pg_statistics_obj_is_visible", "pg_switch_wal", "pg_table_is_visible",
	"pg_table_size", "pg_tablespace_databases", "pg_tablespace_location", "pg_tablespace_size",
	"pg_terminate_backend", "pg_timezone_abbrevs", "pg_timezone_names", "pg_total_relation_size",
	"pg_trigger_depth", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared", "pg_ts_config_is_visible",
	"pg_ts_dict_is_visible", "pg_ts_parser_is_visible", "pg_ts_template_is_visible", "pg_type_is_visible",
	"pg_typeof", "pg_visible_in_snapshot", "pg_wal_lsn_diff", "pg_walfile_name", "pg_walfile_name_offset",
	"pg_xact_commit_timestamp", "pg_xact_commit_timestamp_origin", "pg_xact_status", "phraseto_tsquery", "pi",
	"plainto_tsquery", "point", "position", "pow", "power", "preceding", "precision", "quote_ident",
	"quote_literal", "quote_nullable", "radians", "radius", "random", "range_agg", "range_intersect_agg",
	"range_merge", "rank", "real", "recursive", "regclass", "regexp_count", "regexp_instr", "regexp_like",
	"regexp_match", "regexp_matches", "regexp_replace", "regexp_split_to_array", "regexp_split_to_table",
	"regexp_substr", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx",
	"regr_sxy", "regr_syy", "repeat", "replace", "returning", "reverse", "right", "rollup", "round", "row",
	"row_number", "row_security_active", "row_to_json", "rows", "rpad", "rtrim", "scale", "select", "session_user",
	"set", "set_bit", "set_byte", "set_masklen", "setof", "sets", "setweight", "sha224", "sha256", "sha384",
	"sha512", "shobj_description", "sign", "similar", "similar_to_escape", "sin", "sind", "sinh", "smallint",
	"some", "split_part", "sqrt", "starts_with", "statement_timestamp", "stddev", "stddev_pop", "stddev_samp",
	"string_agg", "string_to_array", "string_to_table", "strip", "strpos", "substr", "substring", "sum",
	"symmetric", "table", "tablesample", "tan", "tand", "tanh", "text", "then", "ties", "time", "timeofday",
	"timestamp", "timestamptz", "timetz", "timezone", "to", "to_ascii", "to_char", "to_date", "to_hex", "to_json",
	"to_jsonb", "to_number", "to_regclass", "to_regcollation", "to_regnamespace", "to_regoper", "to_regoperator",
	"to_regproc", "to_regprocedure", "to_regrole", "to_regtype", "to_timestamp", "to_tsquery", "to_tsvector",
	"trailing", "transaction_timestamp", "translate", "trim", "trim_array", "trim_scale", "trunc", "ts_delete",
	"ts_filter", "ts_headline", "ts_rank", "ts_rank_cd", "tsmultirange", "tsrange", "tstzmultirange", "tstzrange",
	"tsvector_to_array", "txid_current", "txid_current_if_assigned", "txid_current_snapshot", "txid_snapshot_xip",
	"txid_snapshot_xmax", "txid_snapshot_xmin", "txid_status", "txid_visible_in_snapshot", "union", "unique",
	"unistr", "unknown", "unnest", "update", "upper", "upper_inc", "upper_inf", "using", "values", "var_pop",
	"var_samp", "varbit", "varchar", "variance", "varying", "verbose", "version", "websearch_to_tsquery", "when",
	"where", "width", "width_bucket", "window", "with", "within", "without", "xml", "xml_is_well_formed",
	"xml_is_well_formed_content", "xml_is_well_formed_document", "xmlagg", "xmlattributes", "xmlcomment",
	"xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable",
	"xpath", "xpath_exists",
};

static const struct call {
	const char *name;
	uint32_t marks;
} calls[] = {
	{ "currval", LOOK_CURRVAL },
	{ "cursor_to_xml", LOOK_UNKNOWN },
	{ "cursor_to_xmlschema", LOOK_UNKNOWN },
	{ "dblink_connect", LOOK_FOR_GOOD },
	{ "dblink_connect_u", LOOK_FOR_GOOD },
	{ "lastval", LOOK_CURRVAL },
	{ "nextval", LOOK_SEQUENCE },
	{ "pg_advisory_lock", LOOK_LOCK },
	{ "pg_advisory_lock_shared", LOOK_LOCK },
	{ "pg_advisory_unlock", LOOK_LOCK },
	{ "pg_advisory_unlock_all", LOOK_LOCK },
	{ "pg_advisory_unlock_shared", LOOK_LOCK },
	{ "pg_backup_start", LOOK_FOR_GOOD },
	{ "pg_copy_logical_replication_slot", LOOK_FOR_GOOD },
	{ "pg_copy_physical_replication_slot", LOOK_FOR_GOOD },
	{ "pg_create_logical_replication_slot", LOOK_FOR_GOOD },
	{ "pg_create_physical_replication_slot", LOOK_FOR_GOOD },
	{ "pg_replication_origin_session_reset", LOOK_FOR_GOOD },
	{ "pg_replication_origin_session_setup", LOOK_FOR_GOOD },
	{ "pg_sequence_last_value", LOOK_TOUCHES },
	{ "pg_start_backup", LOOK_FOR_GOOD },
	{ "pg_try_advisory_lock", LOOK_LOCK },
	{ "pg_try_advisory_lock_shared", LOOK_LOCK },
	{ "query_to_xml", LOOK_UNKNOWN | LOOK_UNNAMED },
	{ "query_to_xml_and_xmlschema", LOOK_UNKNOWN | LOOK_UNNAMED },
	{ "query_to_xmlschema", LOOK_UNKNOWN | LOOK_UNNAMED },
	{ "set_config", LOOK_SETTINGS },
	{ "setseed", LOOK_FOR_GOOD },
	{ "setval", LOOK_SEQUENCE | LOOK_TOUCHES },
	{ "ts_rewrite", LOOK_UNKNOWN | LOOK_UNNAMED },
	{ "ts_stat", LOOK_UNKNOWN | LOOK_UNNAMED },
};

#define FIRST_OWN_OID 16384 /* from here on they are not PostgreSQL's */

/* pg_proc.oid of the functions of large objects, for which libpq uses FunctionCall, and of those that do something to the session which the
 * server can not be asked for; in the order of their numbers. */
static const struct function {
	uint32_t oid;
	const char *name;
} functions[] = {
	{ 715, "lo_create" },
	{ 764, "lo_import" },
	{ 765, "lo_export" },
	{ 767, "lo_import" },
	{ 952, "lo_open" },
	{ 953, "lo_close" },
	{ 954, "loread" },
	{ 955, "lowrite" },
	{ 956, "lo_lseek" },
	{ 957, "lo_creat" },
	{ 958, "lo_tell" },
	{ 964, "lo_unlink" },
	{ 1004, "lo_truncate" },
	{ 1574, "nextval" },
	{ 1575, "currval" },
	{ 1576, "setval" },
	{ 1599, "setseed" },
	{ 1765, "setval" },
	{ 2078, "set_config" },
	{ 2172, "pg_backup_start" },
	{ 2559, "lastval" },
	{ 2924, "query_to_xml" },
	{ 2927, "query_to_xmlschema" },
	{ 2930, "query_to_xml_and_xmlschema" },
	{ 3170, "lo_lseek64" },
	{ 3171, "lo_tell64" },
	{ 3172, "lo_truncate64" },
	{ 3684, "ts_rewrite" },
	{ 3685, "ts_rewrite" },
	{ 3689, "ts_stat" },
	{ 3690, "ts_stat" },
	{ 3779, "pg_create_physical_replication_slot" },
	{ 3786, "pg_create_logical_replication_slot" },
	{ 4220, "pg_copy_physical_replication_slot" },
	{ 4221, "pg_copy_physical_replication_slot" },
	{ 4222, "pg_copy_logical_replication_slot" },
	{ 4223, "pg_copy_logical_replication_slot" },
	{ 4224, "pg_copy_logical_replication_slot" },
	{ 6006, "pg_replication_origin_session_setup" },
	{ 6007, "pg_replication_origin_session_reset" },
};
/* clang-format on */

/* Most differ by their first letters. */
static int order(const char *word, const char *row)
{
	int first = (unsigned char)word[0] - (unsigned char)row[0];

	return first ? first : strcmp(word, row);
}

static int known_order(const void *word, const void *row)
{
	return order(word, *(const char *const *)row);
}

static int call_order(const void *word, const void *row)
{
	return order(word, ((const struct call *)row)->name);
}

bool look_is_everyday(const char *word)
{
	switch (word[0]) {
	case 'i':
		return strcmp(word, "in") == 0;
	case 'o':
		return strcmp(word, "on") == 0 || strcmp(word, "or") == 0;
	case 'a':
		return strcmp(word, "and") == 0;
	case 'n':
		return strcmp(word, "not") == 0;
	case 'w':
		return strcmp(word, "where") == 0;
	case 'v':
		return strcmp(word, "values") == 0;
	case 'c':
		return strcmp(word, "count") == 0;
	default:
		return false;
	}
}

bool look_knows(const char *word)
{
	return bsearch(word, known, sizeof known / sizeof known[0], sizeof known[0], known_order) != NULL;
}

uint32_t look_call(const char *word)
{
	const struct call *call = bsearch(word, calls, sizeof calls / sizeof calls[0], sizeof calls[0], call_order);

	return call ? call->marks : 0;
}

static int function_order(const void *oid, const void *row)
{
	uint32_t a = *(const uint32_t *)oid, b = ((const struct function *)row)->oid;

	return (a > b) - (a < b);
}

uint32_t look_function(uint32_t oid)
{
	const struct function *function = bsearch(
		&oid, functions, sizeof functions / sizeof functions[0], sizeof functions[0], function_order);
	uint32_t marks = function ? look_call(function->name) : LOOK_UNKNOWN;

	marks |= oid >= FIRST_OWN_OID ? LOOK_READS_ONCE | LOOK_FREEZES : 0;
	return marks & LOOK_SETTINGS || oid >= FIRST_OWN_OID ? marks | LOOK_UNNAMED | LOOK_READING : marks;
}
