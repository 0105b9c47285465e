# bash completion for pgweir. Made by tools/gendoc from src/tool/manual_pages.c; edit there.
_pgweir() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options=--help
	local settings="admin_users= application_name_add_host= auth_dbname= auth_file= auth_hba_file= auth_ident_file= auth_ldap_options= auth_query= auth_type= auth_user= autodb_idle_timeout= cancel_wait_timeout= client_idle_timeout= client_login_timeout= client_tls13_ciphers= client_tls_ca_file= client_tls_cert_file= client_tls_ciphers= client_tls_dheparams= client_tls_ecdhcurve= client_tls_key_file= client_tls_protocols= client_tls_sslmode= conffile= default_pool_size= disable_pqexec= dns_max_ttl= dns_nxdomain_ttl= dns_zone_check_period= idle_transaction_timeout= ignore_startup_parameters= listen_addr= listen_backlog= listen_port= log_connections= log_disconnections= log_pooler_errors= log_stats= logfile= login_notify_message= max_client_conn= max_db_client_connections= max_db_connections= max_packet_size= max_prepared_statements= max_user_client_connections= max_user_connections= min_pool_size= peer_id= pidfile= pool_mode= pool_idle_timeout= query_timeout= query_wait_notify= query_wait_timeout= reserve_pool_size= reserve_pool_timeout= resolv_conf= scram_iterations= server_check_delay= server_check_query= server_connect_timeout= server_fast_close= server_idle_timeout= server_lifetime= server_login_retry= server_reset_query= server_reset_query_always= server_round_robin= server_tls13_ciphers= server_tls_ca_file= server_tls_cert_file= server_tls_ciphers= server_tls_key_file= server_tls_protocols= server_tls_sslmode= so_reuseport= stats_period= stats_users= suspend_timeout= syslog= syslog_facility= syslog_ident= tcp_defer_accept= tcp_keepalive= tcp_keepcnt= tcp_keepidle= tcp_keepintvl= tcp_socket_buffer= tcp_user_timeout= track_extra_parameters= transaction_timeout= unix_socket_dir= unix_socket_group= unix_socket_mode= user= verbose= workers= io_engine= client_limit_counts= statement_text_max= server_orphan_timeout= abandoned_query= transparency= origin_fairness= origin_weights= max_origin_clients= max_origin_servers= origin_login_rate= address_login_rate= leak_interval= leak_quiet= leak_hold= leak_siblings= leak_action= leak_action_patterns= reap_grace= reap_pressure= reap_relief= reap_batch= reap_hourly= reap_share= auth_query_keep= auth_query_keep_none= auth_query_search_path= auth_query_timeout= auth_pam_service= log_format= monitor_user= monitor_dbname= monitor_interval= client_tls_crl_file= server_tls_crl_file= server_tls_negotiation= server_budget= http_listen= http_tls_cert_file= http_tls_key_file= shared_listen= listen_queue_max= sequence_hold= client_statements_max="
	local commands="serve init check top doctor reap logs stress help version"
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "$commands --help --version" -- "$word"))
		return
	fi
	case ${COMP_WORDS[1]} in
	help)
		COMPREPLY=($(compgen -W "$commands" -- "$word"))
		return
		;;
	serve)
		case $before in
		--listen)
			COMPREPLY=()
			return
			;;
		-o | --option)
			compopt -o nospace
			COMPREPLY=($(compgen -W "$settings" -- "$word"))
			return
			;;
		esac
		options="--listen --option --verbose --reboot --daemon --try --help"
		;;
	init)
		case $before in
		--listen | --sample | --cores)
			COMPREPLY=()
			return
			;;
		-o | --output)
			COMPREPLY=($(compgen -f -- "$word"))
			return
			;;
		esac
		options="--output --listen --sample --cores --force --json --help"
		;;
	check)
		case $before in
		--cores | --poolers)
			COMPREPLY=()
			return
			;;
		-o | --option)
			compopt -o nospace
			COMPREPLY=($(compgen -W "$settings" -- "$word"))
			return
			;;
		esac
		options="--option --offline --cores --poolers --strict --json --help"
		;;
	top)
		case $before in
		--interval | --idle-in-transaction | --active)
			COMPREPLY=()
			return
			;;
		esac
		options="--interval --idle-in-transaction --active --ascii --once --json --help"
		;;
	doctor)
		case $before in
		--watch | --sample | --cores | --poolers | --request-timeout | --tasks | --held | --pace)
			COMPREPLY=()
			return
			;;
		esac
		options="--watch --wsgi --json --strict --sample --cores --poolers --request-timeout --tasks --held --pace --help"
		;;
	reap)
		case $before in
		--idle | --idle-in-transaction | --active | --user | --database | --application | --address | --limit | --allow-application | --pooler | --writing-times | --pause | --wait)
			COMPREPLY=()
			return
			;;
		esac
		options="--idle --idle-in-transaction --active --user --database --application --address --everyone --execute --limit --allow-application --pooler --writing-times --pause --wait --show-literals --json --help"
		;;
	logs)
		case $before in
		--since)
			COMPREPLY=()
			return
			;;
		esac
		options="--since --json --help"
		;;
	stress)
		case $before in
		--sockets | --message | --abuse | --assert | --knee | --waves | --burst | --warm-up | --baseline | --warm-for | --ramp | --hold | --burst-for | --drain | --settle | --think | --timeout | --sample | --expect | --expect-match | --expect-json | --first | --method | --data | --header | --source | --subprotocol | --seed | --role | --may-keep)
			COMPREPLY=()
			return
			;;
		--html | --values | --json | --junit | --csv | --metrics)
			COMPREPLY=($(compgen -f -- "$word"))
			return
			;;
		--postgres | --console)
			compopt -o nospace
			COMPREPLY=($(compgen -W postgresql:// -- "$word"))
			return
			;;
		esac
		options="--sockets --message --abuse --postgres --console --assert --knee --html --waves --burst --storm --warm-up --baseline --warm-for --ramp --hold --burst-for --drain --settle --think --timeout --sample --expect --expect-match --expect-json --first --values --method --data --header --source --subprotocol --prepared --insecure --seed --role --may-keep --json --junit --csv --metrics --preflight --quiet --i-own-this-target --help"
		;;
	esac
	case $word in
	-*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
	*) COMPREPLY=($(compgen -f -- "$word")) ;;
	esac
}
complete -o filenames -F _pgweir pgweir
