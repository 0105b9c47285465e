#!/usr/bin/env escript
%% -*- erlang -*-
-mode(compile).
%% ProcessOne's p1_pgsql, by which ejabberd speaks, through a pooler.
%% Prints `ok NAME` or `not ok NAME: why` for each claim, and `servers N`: on how many servers its statements ran. PG* variables say where.
main(_) ->
    true = code:add_patha(filename:join(hd(filelib:wildcard("/usr/lib/erlang/lib/p1_pgsql-*")), "ebin")),
    C = connect([]),
    squery(C, "DROP TABLE IF EXISTS berths; CREATE TABLE berths(id int PRIMARY KEY, v text)"),
    Stories = [{parameters_arrive, fun parameters/1}, {names_are_its_own, fun names/1}, {an_error_is_told_and_it_goes_on, fun errors/1},
               {a_transaction_is_taken_back, fun transactions/1}, {several_in_one_text, fun several/1}, {many_processes_at_once, fun many/1},
               {settings_are_its_own, fun settings/1}, {a_cursor_is_read_in_parts, fun cursor/1}],
    [told(Name, Story, C) || {Name, Story} <- Stories],
    io:format("servers ~b~n", [length(lists:usort([backend(C) || _ <- lists:seq(1, 40)]))]),
    squery(C, "DROP TABLE berths"),
    pgsql:terminate(C).

connect(More) ->
    {ok, C} = pgsql:connect([{host, os:getenv("PGHOST")}, {port, list_to_integer(os:getenv("PGPORT"))}, {database, os:getenv("PGDATABASE")},
                             {user, os:getenv("PGUSER")}, {password, ""}, {as_binary, true} | More]),
    C.

told(Name, Story, C) ->
    try Story(C), io:format("ok ~s~n", [Name])
    catch Class:Why:Where -> io:format("not ok ~s: ~p ~p ~p~n", [Name, Class, Why, hd(Where)])
    end.

squery(C, Text) ->
    {ok, Results} = pgsql:squery(C, Text),
    Results.

backend(C) ->
    timer:sleep(3),
    [{_, _, [[Pid]]}] = squery(C, "SELECT pg_backend_pid()"),
    Pid.

parameters(C) ->
    [begin
         N1 = integer_to_binary(N + 1),
         {ok, _, idle, _, [[{text, N1}, {text, <<"grün"/utf8>>}, {text, null}]]} =
             pgsql:pquery(C, "SELECT ($1::int + 1)::text, $2::text, $3::text", [integer_to_list(N), <<"grün"/utf8>>, null])
     end || N <- lists:seq(1, 40)].

asks(C, Name, Wanted) ->
    {ok, Told} = pgsql:execute(C, Name, ["5"]),
    case string:find(io_lib:format("~p", [Told]), Wanted) of nomatch -> error({Told, instead_of, Wanted}); _ -> ok end.

names(C) ->
    {ok, _, _, _} = pgsql:prepare(C, "doubled", "SELECT 'd' || $1::int * 2 AS n"),
    {ok, _, _, _} = pgsql:prepare(C, "squared", "SELECT 's' || $1::int * $1::int AS n"),
    [begin asks(C, "doubled", "d10"), asks(C, "squared", "s25"), timer:sleep(2) end || _ <- lists:seq(1, 30)],
    pgsql:unprepare(C, "doubled"),
    asks(C, "squared", "s25"),
    {ok, _, _, _} = pgsql:prepare(C, "doubled", "SELECT 'e' || $1::int AS n"),
    asks(C, "doubled", "e5").

%% Only in texts: one in a statement with parameters makes this driver wait for itself, with or without a pooler.
errors(C) ->
    [begin
         [{error, E}] = squery(C, "SELECT 1/0"),
         <<"22012">> = proplists:get_value(code, E),
         [_, {error, _}] = squery(C, "SELECT 1; SELECT 1/0; SELECT 2"),
         [[<<"7">>]] = rows(squery(C, "SELECT '7'::text"))
     end || _ <- lists:seq(1, 10)].

rows([{_, _, Rows} | _]) -> Rows.

transactions(C) ->
    squery(C, "BEGIN"),
    squery(C, "INSERT INTO berths VALUES (1, 'a')"),
    [{error, _}] = squery(C, "INSERT INTO berths VALUES (1, 'b')"),
    squery(C, "ROLLBACK"),
    [[<<"0">>]] = rows(squery(C, "SELECT count(*)::text FROM berths")).

several(C) ->
    [_, _, {_, _, [[<<"x">>]]}, _] = squery(C, "BEGIN; INSERT INTO berths VALUES (2, 'x'); SELECT v FROM berths WHERE id = 2; ROLLBACK").

many(_) ->
    Self = self(),
    [spawn_link(fun() ->
        D = connect([]),
        [begin
             V = iolist_to_binary(io_lib:format("~b ~b", [P, N])),
             {ok, _, idle, _, [[{text, V}]]} = pgsql:pquery(D, "SELECT $1::text", [V])
         end || N <- lists:seq(1, 30)],
        pgsql:terminate(D),
        Self ! done
     end) || P <- lists:seq(1, 8)],
    [receive done -> ok after 30000 -> exit(late) end || _ <- lists:seq(1, 8)].

settings(C) ->
    squery(C, "SET TIME ZONE 'Asia/Tokyo'"),
    [begin
         [[<<"Asia/Tokyo">>]] = rows(squery(C, "SHOW TimeZone")),
         {ok, _, idle, _, [[{text, <<"Asia/Tokyo">>}]]} = pgsql:pquery(C, "SELECT current_setting('TimeZone')", []),
         timer:sleep(2)
     end || _ <- lists:seq(1, 20)],
    squery(C, "RESET ALL").

cursor(C) ->
    squery(C, "BEGIN; DECLARE c CURSOR FOR SELECT g::text FROM generate_series(1, 20) g"),
    [begin 5 = length(rows(squery(C, "FETCH 5 FROM c"))) end || _ <- lists:seq(1, 4)],
    squery(C, "COMMIT").
