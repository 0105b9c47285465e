# Ruby's pg through a pooler. Prints `ok NAME` or `not ok NAME: why` for each claim, and `servers N`: on how many servers one
# prepared statement ran. PG* variables say where.
require 'pg'

$stdout.sync = true

def claim(name)
  yield
  puts "ok #{name}"
rescue StandardError => e
  puts "not ok #{name}: #{e.class} #{e.message.lines.first}"
end

def must(true_, why = 'wrong')
  raise why.to_s unless true_
end

def fails(with)
  yield
rescue with
  nil
else
  raise "no #{with}"
end

# All results of a pipeline up to its Sync.
def pipelined(db)
  db.enter_pipeline_mode
  yield
  db.pipeline_sync
  results = []
  until results.last&.result_status == PG::PGRES_PIPELINE_SYNC
    result = db.get_result
    results << result if result
  end
  db.exit_pipeline_mode
  results
end

db = PG.connect(sslmode: 'disable')
servers = {}

claim 'parameters_arrive' do
  40.times do |i|
    row = db.exec_params('SELECT $1::int + 1, $2::text, $3::text', [i, "grün #{i}", nil]).values[0]
    must row == [(i + 1).to_s, "grün #{i}", nil], row
  end
end
claim 'a_named_statement_survives_a_change_of_servers' do
  db.prepare('mine', 'SELECT pg_backend_pid(), $1::int * 2')
  60.times do |i|
    pid, twice = db.exec_prepared('mine', [i]).values[0]
    must twice.to_i == 2 * i
    servers[pid] = true
    sleep 0.001
  end
  db.exec('DEALLOCATE mine')
  fails(PG::InvalidSqlStatementName) { db.exec_prepared('mine', [1]) }
end
claim 'a_statement_is_described' do
  db.prepare('told', 'SELECT $1::int AS a, now() AS b')
  must db.describe_prepared('told').fields == %w[a b]
  db.exec('DEALLOCATE ALL')
  fails(PG::InvalidSqlStatementName) { db.describe_prepared('told') }
end
claim 'a_pipeline' do
  results = pipelined(db) { 5.times { |i| db.send_query_params('SELECT $1::int', [i]) } }
  must results[0..4].map { |r| r.getvalue(0, 0).to_i } == [0, 1, 2, 3, 4]
end
claim 'an_error_in_a_pipeline' do
  results = pipelined(db) do
    db.send_query_params('SELECT 1 / $1::int', [0])
    db.send_query_params('SELECT 1', [])
  end
  must results.map(&:result_status) == [PG::PGRES_FATAL_ERROR, PG::PGRES_PIPELINE_ABORTED, PG::PGRES_PIPELINE_SYNC]
end
claim 'rows_one_by_one' do
  db.send_query('SELECT generate_series(1, 1000)')
  db.set_single_row_mode
  rows = 0
  while (result = db.get_result)
    result.check
    rows += result.ntuples
  end
  must rows == 1000, rows
end
claim 'copy_both_ways_and_into_an_error' do
  db.exec('CREATE TEMP TABLE copied(a int)')
  db.copy_data('COPY copied FROM STDIN') { 100.times { |i| db.put_copy_data("#{i}\n") } }
  rows = 0
  db.copy_data('COPY copied TO STDOUT') { rows += 1 while db.get_copy_data }
  must rows == 100, rows
  fails(PG::InvalidTextRepresentation) { db.copy_data('COPY copied FROM STDIN') { db.put_copy_data("x\n") } }
  fails(PG::QueryCanceled) { db.copy_data('COPY copied FROM STDIN') { raise PG::QueryCanceled, 'given up' } }
  must db.exec('SELECT count(*) FROM copied').getvalue(0, 0) == '100'
  db.exec('DROP TABLE copied')
end
claim 'notifications_arrive' do
  db.exec('LISTEN ruby')
  db.exec("NOTIFY ruby, 'said'")
  heard = nil
  db.wait_for_notify(10) { |_, _, payload| heard = payload }
  must heard == 'said', heard.inspect
  db.exec('UNLISTEN ruby')
end
claim 'notices_arrive' do
  heard = nil
  db.set_notice_processor { |message| heard = message }
  db.exec("DO $$ BEGIN RAISE NOTICE 'said'; END $$")
  must heard.include?('said')
end
claim 'a_statement_is_cancelled' do
  db.send_query('SELECT pg_sleep(60)')
  sleep 0.3
  db.cancel
  fails(PG::QueryCanceled) { db.get_last_result }
  must db.exec('SELECT 5').getvalue(0, 0) == '5'
end
claim 'types_are_read_from_the_catalogue' do
  db.type_map_for_results = PG::BasicTypeMapForResults.new(db)
  must db.exec("SELECT 5, true, '{1,2}'::int[], '2020-02-03'::date").values == [[5, true, [1, 2], Date.new(2020, 2, 3)]]
  db.type_map_for_results = PG::TypeMapAllStrings.new
end
claim 'an_exception_rolls_back' do
  fails(ArgumentError) do
    db.transaction do
      db.exec('CREATE TABLE ruby_in_vain(a int)')
      raise ArgumentError
    end
  end
  must db.exec("SELECT to_regclass('ruby_in_vain')").getvalue(0, 0).nil?
end
claim 'an_encoding_stays' do
  db.set_client_encoding('LATIN1')
  20.times do
    must db.exec("SELECT 'ü'".encode('ISO-8859-1')).getvalue(0, 0).encode('UTF-8') == 'ü', 'LATIN1'
    sleep 0.002
  end
  db.set_client_encoding('UTF8')
  20.times { must db.exec("SELECT 'ü'").getvalue(0, 0) == 'ü', 'UTF8' }
end
claim 'it_connects_anew' do
  db.reset
  must db.exec('SELECT 1').getvalue(0, 0) == '1'
end
db.close
puts "servers #{servers.size}"
