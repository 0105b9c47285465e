/* The one query that reads the catalogue. Everything that may leave something in a session is found from two ends and followed to the
 * names that statements can say:
 *
 *   bodies of functions (kinds: which words)  --+      function -> trigger, view, default, check, policy, index -> its table
 *   expressions that call PostgreSQL's own    --+--->  function -> operator, cast, operator class, event trigger, domain -> its table
 *                                                      name in a body -> that function;   child -> parent (partition, cascade)
 *
 * Rows are a name, letters of what it leaves (see catalog.c), and when: r whatever is done with it, w when the statement writes, d by
 * commands that event triggers follow; f: a function, whatever it leaves; t: one of triggers, and what it leaves; s: a setting with a dot that some body sets. What cannot outlive a transaction is taken out of bodies first: SET
 * LOCAL, set_config(..., true), and the words of UPDATE ... SET, but not the name between them, nor any of it where that is pg_settings, whose rule
 * sets what an UPDATE says, beneath views too. A literal whose meaning settings decide has a digit or a NULL in it, or stands beside one (r); an immutable function that asks for a setting says so (i). Letters and classes as in PostgreSQL's manual, "System Catalogs"; 12 and 13 are the languages
 * internal and C, 2279 and 3838 trigger and event_trigger, 11 is pg_catalog. A volatile function in C may do anything; but not one of an
 * operator class, where extensions forget to say what it is. */
#include "session/catalog.h"

#include "base/text.h"
#include "session/question.h"

/* Its own search_path, and no limit of the client's. As one message it is one transaction, so SET LOCAL ends with it. */
#define HEAD \
	TRANSACTION_APART \
	"SET LOCAL search_path=pg_catalog,pg_temp;SET LOCAL statement_timeout='20s';SET LOCAL jit=off;WITH RECURSIVE "

/* Quotes are E'' throughout: standard_conforming_strings is the client's. */
#define KINDS \
	"kinds(mark,pattern) AS (VALUES " \
	"('s',E'set_config|\\\\mset\\\\M|\\\\mreset\\\\M|\\\\mdiscard\\\\M')," \
	"('t',E'\\\\mtemp(orary)?\\\\M|pg_temp|\\\\mdiscard\\\\M|\\\\mcreate\\\\M')," \
	"('l',E'pg_(try_)?advisory_(un)?lock')," \
	"('n',E'\\\\m(un)?listen\\\\M')," \
	"('p',E'\\\\mprepare\\\\M|\\\\mdeallocate\\\\M')," \
	"('c',E'\\\\mhold\\\\M|\\\\mclose\\\\M')," \
	"('g',E'\\\\mload\\\\s*''|\\\\msetseed\\\\M|dblink_connect|pg_(create|copy)_[a-z]+_replication_slot|" \
	"pg_replication_origin_session|pg_backup_start|pg_start_backup')," \
	"('q',E'\\\\m(curr|last)val\\\\M')," \
	"('k',E'nextval|setval|\\\\minsert\\\\M|\\\\mmerge\\\\M|[=(,]\\\\s*default\\\\M')," \
	"('v',E'setval|pg_sequence|\\\\mexception\\\\s+when\\\\M|\\\\mtruncate\\\\M|\\\\malter\\\\M|\\\\mcatch\\\\M|\\\\mexcept\\\\M|\\\\meval\\\\M')," \
	"('r',E'''[^'']*[0-9][^'']*''|[$]([[:alpha:]_][[:alnum:]_]*)?[$]|''[^'']*[{][^'']*\\\\mnull\\\\M|" \
	"[^:]=\\\\s*null\\\\M|\\\\mnull\\\\s*=[^>]')," \
	"('x',E'execute|spi_|u&\"')," \
	"('u',E'u&\"|set_config(?!\\\\s*\\\\(\\\\s*''[a-z0-9_]+(\\\\.[a-z0-9_.]+)?''(::text)?\\\\s*,)|execute.*\\\\mset|\\\\mset.*execute|" \
	"\\\\mset\\\\s*(session\\\\s*)?(/\\\\*|--|\")|\\\\mset\\\\s+(session\\\\s+)?[a-z0-9_]+\\\\s*(/\\\\*|--|\\\\.\\\\s*[a-z0-9_]*\\\\s*/\\\\*)|" \
	"\\\\mset\\\\s+(session\\\\s+)?[a-z0-9_]+(\\\\s+\\\\.\\\\s*|\\\\.\\\\s+)[a-z0-9_\"]+\\\\s*(=|to\\\\M)|" \
	"\\\\mset\\\\s+(session\\\\s+)?[a-z0-9_.]*[^a-z0-9_.[:space:]=;(),''][^[:space:]=;]*\\\\s*(=|to\\\\M)')),"

#define LOCAL_CONFIG "set_config[[:space:]]*[(][^,]*,[^,()]*,[[:space:]]*true[[:space:]]*[)]"

#define BODIES \
	"bodies AS MATERIALIZED (SELECT p.oid,lower(regexp_replace(%s,E'\\\\mupdate\\\\s+(only\\\\s+)?" \
	"(?!(loop|of|nowait|skip)\\\\M|\"?pg_(catalog|settings)\\\\M)((?:\"[^\"]+\"|[[:alnum:]_$.])+)\\\\s+" \
	"((as\\\\s+)?(?!set\\\\M)(\"[^\"]+\"|[[:alnum:]_$])+\\\\s+)?set\\\\M|\\\\mdo\\\\s+update\\\\s+set\\\\M|" LOCAL_CONFIG \
	"|" \
	"\\\\mset\\\\s+(local|transaction|constraints)\\\\M',E' \\\\2 ','gi')) AS body FROM pg_proc p " \
	"WHERE pronamespace<>11 AND pronamespace IS DISTINCT FROM " \
	"to_regnamespace('information_schema')::oid AND prolang<>13),"

#define TREES \
	"own(oid,name) AS MATERIALIZED (SELECT oid,proname FROM pg_proc WHERE pronamespace=11 AND proname~" \
	"'^(set|nextval|currval|lastval|pg_(try_)?advisory_|pg_(create|copy|start|backup|replication|sequence)_)')," \
	"bad(id,mark) AS (SELECT string_agg(oid::text,'|'),mark FROM own,kinds WHERE mark " \
	"IN('s','l','g','q','k','v') AND name~pattern GROUP BY mark)," \
	"trees(class,id,tree) AS (" \
	"SELECT 'pg_rewrite'::regclass::oid,oid,ev_action::text||ev_qual::text FROM pg_rewrite WHERE oid>=16384 " \
	"UNION ALL SELECT 'pg_attrdef'::regclass,oid,adbin::text FROM pg_attrdef " \
	"UNION ALL SELECT 'pg_constraint'::regclass,oid,conbin::text FROM pg_constraint WHERE conbin IS NOT NULL " \
	"UNION ALL SELECT 'pg_policy'::regclass,oid,coalesce(polqual::text,'')||coalesce(polwithcheck::text,'') " \
	"FROM pg_policy " \
	"UNION ALL SELECT 'pg_trigger'::regclass,oid,tgqual::text FROM pg_trigger WHERE tgqual IS NOT NULL " \
	"UNION ALL SELECT 'pg_type'::regclass,oid,typdefaultbin::text FROM pg_type WHERE typdefaultbin IS NOT NULL " \
	"UNION ALL SELECT 'pg_proc'::regclass,oid,proargdefaults::text FROM pg_proc WHERE pronamespace<>11 AND " \
	"proargdefaults IS NOT NULL),"

/* Of those that call set_config the words are read too, since only they tell what it sets. */
#define SAID \
	"said(class,id,body) AS MATERIALIZED (SELECT class,t.id,lower(regexp_replace(regexp_replace(coalesce(CASE class " \
	"WHEN 'pg_rewrite'::regclass THEN pg_get_ruledef(t.id) " \
	"WHEN 'pg_attrdef'::regclass THEN (SELECT pg_get_expr(adbin,adrelid) FROM pg_attrdef WHERE oid=t.id) " \
	"WHEN 'pg_constraint'::regclass THEN pg_get_constraintdef(t.id) " \
	"WHEN 'pg_policy'::regclass THEN (SELECT concat_ws(' ',pg_get_expr(polqual,polrelid)," \
	"pg_get_expr(polwithcheck,polrelid)) FROM pg_policy WHERE oid=t.id) " \
	"WHEN 'pg_trigger'::regclass THEN pg_get_triggerdef(t.id) " \
	"WHEN 'pg_type'::regclass THEN (SELECT pg_get_expr(typdefaultbin,0) FROM pg_type WHERE oid=t.id) " \
	"ELSE (SELECT pg_get_expr(proargdefaults,0) FROM pg_proc WHERE oid=t.id) END,'set_config'),E'\\\\mAS set_config\\\\M','','g')," \
	"'" LOCAL_CONFIG "','','gi')) FROM trees t,bad WHERE mark='s' AND tree~(':funcid ('||bad.id||') ')),"

/* Who is spoken of in which body. Words are joined, not searched for: thousands of each are common. */
#define MENTIONS \
	"names(said,class,id) AS MATERIALIZED (" \
	"SELECT lower(proname),'pg_proc'::regclass::oid,oid FROM pg_proc WHERE pronamespace<>11 " \
	"UNION ALL SELECT lower(relname),'pg_class'::regclass,oid FROM pg_class WHERE oid>=16384 AND relkind<>'i')," \
	"words(id,word) AS MATERIALIZED (SELECT DISTINCT oid," \
	"unnest(string_to_array(regexp_replace(body,E'[^[:alnum:]_$]+',' ','g'),' ')) FROM bodies)," \
	"mentions(class,id,body) AS (SELECT n.class,n.id,w.id FROM words w JOIN names n ON said=word " \
	"UNION ALL SELECT class,id,oid FROM names JOIN bodies ON position(said IN body)>0 " \
	"WHERE said~E'[^[:alnum:]_$]'),"

#define STEPS \
	"owners(class,id,owner,reads) AS (" \
	"SELECT 'pg_trigger'::regclass::oid,oid,tgrelid,false FROM pg_trigger WHERE NOT tgisinternal " \
	"UNION ALL SELECT 'pg_rewrite'::regclass,oid,ev_class,ev_type='1' FROM pg_rewrite WHERE oid>=16384 " \
	"UNION ALL SELECT 'pg_attrdef'::regclass,oid,adrelid,false FROM pg_attrdef " \
	"UNION ALL SELECT 'pg_constraint'::regclass,oid,conrelid,false FROM pg_constraint WHERE conrelid<>0 AND " \
	"contype<>'f' " \
	"UNION ALL SELECT 'pg_policy'::regclass,oid,polrelid,true FROM pg_policy " \
	"UNION ALL SELECT 'pg_class'::regclass,indexrelid,indrelid,false FROM pg_index WHERE indexrelid>=16384)," \
	"steps(class,id,toclass,toid,reads) AS MATERIALIZED (" \
	"SELECT class,id,'pg_class'::regclass::oid,owner,CASE WHEN reads THEN NULL ELSE false END FROM owners " \
	"UNION ALL SELECT 'pg_class'::regclass,conrelid,'pg_class'::regclass,confrelid,false FROM pg_constraint " \
	"WHERE contype='f' AND (confdeltype IN('c','n','d') OR confupdtype IN('c','n','d')) " \
	"UNION ALL SELECT 'pg_class'::regclass,inhrelid,'pg_class'::regclass,inhparent,NULL FROM pg_inherits " \
	"UNION ALL SELECT 'pg_constraint'::regclass,oid,'pg_type'::regclass,contypid,NULL FROM pg_constraint " \
	"WHERE contypid<>0 " \
	"UNION ALL SELECT 'pg_type'::regclass,oid,'pg_type'::regclass,typarray,NULL FROM pg_type WHERE oid>=16384 AND " \
	"typarray<>0 UNION ALL SELECT 'pg_type'::regclass,typbasetype,'pg_type'::regclass,oid,NULL FROM pg_type WHERE " \
	"typbasetype>=16384 UNION ALL SELECT 'pg_class'::regclass,oid,'pg_type'::regclass,reltype,NULL FROM pg_class " \
	"WHERE relkind='c' UNION ALL SELECT 'pg_trigger'::regclass,t.oid,'pg_class'::regclass,confrelid,false FROM " \
	"pg_trigger t JOIN pg_constraint ON conrelid=tgrelid WHERE contype='f' AND tgtype&32<>0 " \
	"UNION ALL SELECT 'pg_proc'::regclass,p.oid,'pg_opfamily'::regclass,amprocfamily,NULL FROM pg_amproc JOIN pg_proc p " \
	"ON p.oid=amproc WHERE p.oid>=16384 AND prolang<>13 " \
	"UNION ALL SELECT class,id,'pg_proc'::regclass,body,true FROM mentions " \
	"UNION ALL SELECT DISTINCT refclassid,refobjid,classid,objid,NULL::bool FROM pg_depend WHERE refobjid>=16384 AND " \
	"objid>=16384 AND deptype='n' AND (refclassid IN('pg_proc'::regclass,'pg_operator'::regclass,'pg_type'::regclass) OR " \
	"(refclassid='pg_class'::regclass AND classid='pg_rewrite'::regclass))),"

#define FOUND \
	"found(class,id,mark,reads) AS (" \
	"SELECT 'pg_proc'::regclass::oid,oid,mark,true FROM bodies,kinds WHERE body~pattern " \
	"UNION SELECT 'pg_proc'::regclass,b.oid,'i',true FROM bodies b JOIN pg_proc p ON p.oid=b.oid WHERE provolatile='i' AND " \
	"body~E'current_setting|\\\\m(current|session)_(user|role|schemas?)\\\\M|\\\\mshow\\\\M' " \
	"UNION SELECT 'pg_proc'::regclass,oid,'x',true FROM pg_proc WHERE pronamespace<>11 AND prolang=13 AND " \
	"provolatile='v' AND prorettype NOT IN(2279,3838) AND oid>=16384 " \
	"UNION SELECT 'pg_proc'::regclass,b.oid,'t',true FROM bodies b JOIN pg_proc p ON p.oid=b.oid WHERE prolang=14 AND " \
	"body~E'(?<![[:space:]]|insert|merge)\\\\s+into\\\\M' " \
	"UNION SELECT class,trees.id,mark,true FROM trees,bad WHERE tree~(':funcid ('||bad.id||') ') AND " \
	"mark<>'s' AND (mark<>'k' OR class<>'pg_attrdef'::regclass) " \
	"UNION SELECT class,id,mark,true FROM said,kinds WHERE mark IN('s','u') AND body~pattern " \
	"UNION SELECT 'pg_rewrite'::regclass,oid,'k',true FROM pg_rewrite WHERE oid>=16384 AND ev_type<>'1' " \
	"UNION SELECT 'pg_class'::regclass,ev_class,'v',true FROM pg_rewrite WHERE oid>=16384 AND " \
	"ev_action~(':relid '||'pg_sequences'::regclass::oid||' ') " \
	"UNION SELECT 'pg_class'::regclass,ev_class,'s',false FROM pg_rewrite WHERE oid>=16384 AND " \
	"ev_action~(':relid '||'pg_settings'::regclass::oid||' ') " \
	"UNION SELECT toclass,toid,mark,coalesce(s.reads,f.reads) FROM found f JOIN steps s USING(class,id)) "

#define ROWS \
	"SELECT proname,string_agg(DISTINCT mark,''),'r' FROM found JOIN pg_proc p ON p.oid=id " \
	"WHERE class='pg_proc'::regclass AND prorettype NOT IN(2279,3838) GROUP BY 1 " \
	"UNION ALL SELECT relname,string_agg(DISTINCT mark,''),CASE WHEN bool_or(reads) THEN 'r' ELSE 'w' END " \
	"FROM found JOIN pg_class c ON c.oid=id WHERE class='pg_class'::regclass AND relkind<>'i' GROUP BY 1 " \
	"UNION ALL SELECT typname,string_agg(DISTINCT mark,''),'r' FROM found JOIN pg_type t ON t.oid=id " \
	"WHERE class='pg_type'::regclass GROUP BY 1 " \
	"UNION ALL SELECT DISTINCT proname,'','f' FROM pg_proc WHERE pronamespace<>11 AND prorettype NOT IN(2279,3838) " \
	"UNION ALL SELECT proname,coalesce(string_agg(DISTINCT mark,''),''),'t' FROM pg_proc p LEFT JOIN found ON id=p.oid AND " \
	"class='pg_proc'::regclass WHERE pronamespace<>11 AND prorettype IN(2279,3838) GROUP BY 1 " \
	"UNION ALL SELECT '',string_agg(DISTINCT mark,''),'d' FROM found WHERE class='pg_event_trigger'::regclass " \
	"HAVING count(*)>0 " \
	"UNION ALL SELECT '',string_agg(DISTINCT mark,''),'r' FROM found " \
	"WHERE class IN('pg_operator'::regclass,'pg_cast'::regclass,'pg_opfamily'::regclass) HAVING count(*)>0 " \
	"UNION ALL SELECT DISTINCT m[1],'','s' FROM (SELECT body FROM bodies UNION ALL SELECT body FROM said) AS b," \
	"regexp_matches(body," \
	"E'(?:set_config\\\\s*\\\\(\\\\s*''|\\\\mset\\\\s+(?:session\\\\s+)?)([a-z0-9_]+\\\\.[a-z0-9_.]+)','g') AS m"

bool catalog_write(int version, struct buf *out)
{
	/* Bodies that were parsed when they were made are new in 14. */
	return buf_format(out, HEAD KINDS BODIES TREES SAID MENTIONS STEPS FOUND ROWS,
		version >= 14 ? "coalesce(pg_get_function_sqlbody(p.oid),prosrc)" : "prosrc");
}
