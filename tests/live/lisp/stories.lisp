;;; Common Lisp's cl-postgres and Postmodern through a pooler: a parse is flushed and its answer read before the bind is sent, and a pool keeps connections.
;;; Prints `ok NAME` or `not ok NAME: why` for each claim, and `servers N`: on how many servers its statements ran. PG* variables say where.
(require :asdf)
(handler-bind ((warning #'muffle-warning))
  (let ((*standard-output* (make-broadcast-stream)) (*error-output* (make-broadcast-stream)))
    (asdf:load-system :postmodern)))
(in-package :postmodern)

(defun where () (list (sb-posix:getenv "PGDATABASE") (sb-posix:getenv "PGUSER") "" (sb-posix:getenv "PGHOST") :port (parse-integer (sb-posix:getenv "PGPORT"))))
(defvar *servers* nil)

(defmacro told (name &body body)
  `(handler-case (progn ,@body (format t "ok ~a~%" ,name))
     (error (e) (format t "not ok ~a: ~a~%" ,name (substitute #\space #\newline (princ-to-string e))))))

(defmacro must (form) `(unless ,form (error "not so: ~s" ',form)))

(defmacro fails-by (state &body body)
  `(handler-case (progn ,@body (error "no error"))
     (cl-postgres:database-error (e) (must (equal (cl-postgres:database-error-code e) ,state)))))

(defun others (count work)
  (let* ((wrong nil)
         (threads (loop repeat count for n from 0 collect
                    (let ((n n)) (sb-thread:make-thread (lambda () (handler-case (funcall work n) (error (e) (push e wrong)))))))))
    (mapc #'sb-thread:join-thread threads)
    (when wrong (error (first wrong)))))

(defun stories ()
  (execute "DROP TABLE IF EXISTS buoys")
  (execute "CREATE TABLE buoys(id int PRIMARY KEY, v text)")
  (told "parameters-arrive"
    (dotimes (n 40)
      (destructuring-bind (pid m text nothing) (query "SELECT pg_backend_pid(), $1::int + 1, $2::text, $3::text" n "grün" :null :row)
        (pushnew pid *servers*)
        (must (and (= m (1+ n)) (equal text "grün") (eq nothing :null))))
      (sleep 0.003)))
  (told "prepared-functions-keep-their-names"
    (let ((twice (prepare "SELECT $1::int * 2" :single)) (more (prepare "SELECT $1::int + 100" :single)))
      (dotimes (n 40)
        (must (= (funcall twice n) (* 2 n)))
        (must (= (funcall more n) (+ 100 n))))))
  (told "a-name-is-given-up-and-taken-again"
    (dotimes (n 10)
      (cl-postgres:prepare-query *database* "mine" (format nil "SELECT ~a + $1::int" n))
      (must (equal (cl-postgres:exec-prepared *database* "mine" (list 1) 'cl-postgres:list-row-reader) (list (list (1+ n)))))
      (cl-postgres:unprepare-query *database* "mine")))
  (told "an-error-is-told-and-it-goes-on"
    (dotimes (n 10)
      (fails-by "22012" (query "SELECT 1 / $1::int" 0))
      (fails-by "42601" (query "SELEKT"))
      (fails-by "42P01" (cl-postgres:prepare-query *database* "broken" "SELECT * FROM nowhere"))
      (must (= (query "SELECT 7" :single) 7))))
  (told "a-transaction-is-taken-back"
    (handler-case (with-transaction () (execute "INSERT INTO buoys VALUES (1, 'a')") (error "back")) (error ()))
    (with-transaction ()
      (execute "INSERT INTO buoys VALUES (2, 'b')")
      (handler-case (with-savepoint deeper (execute "INSERT INTO buoys VALUES (2, 'b')")) (cl-postgres:database-error ()))
      (execute "INSERT INTO buoys VALUES (3, 'c')"))
    (must (equal (query "SELECT id FROM buoys ORDER BY id" :column) '(2 3))))
  (told "copy-goes-in"
    (let ((writer (cl-postgres:open-db-writer *database* "buoys" '(id v))))
      (loop for n from 100 below 600 do (cl-postgres:db-write-row writer (list n "copied")))
      (cl-postgres:close-db-writer writer))
    (must (= (query "SELECT count(*) FROM buoys WHERE v = 'copied'" :single) 500)))
  (told "settings-are-its-own"
    (execute "SET TIME ZONE 'Asia/Tokyo'")
    (dotimes (n 20)
      (must (equal (query "SHOW TimeZone" :single) "Asia/Tokyo"))
      (must (equal (query "SHOW application_name" :single) "postmodern-default"))
      (sleep 0.002))
    (execute "RESET ALL"))
  (told "a-notification-is-heard"
    (let ((listener (apply #'connect (where))))
      (let ((*database* listener)) (execute "LISTEN buoys"))
      (query "SELECT pg_notify('buoys', 'adrift')")
      (must (equal (nth-value 1 (sb-ext:with-timeout 20 (cl-postgres:wait-for-notification listener))) "adrift"))
      (disconnect listener)))
  (told "a-cursor-is-read-in-parts"
    (with-transaction ()
      (execute "DECLARE c CURSOR FOR SELECT generate_series(1, 20)")
      (dotimes (n 4) (must (= 5 (length (query "FETCH 5 FROM c")))))))
  (told "threads-share-its-pool"
    (others 8 (lambda (n)
                (dotimes (i 20)
                  (with-connection (append (where) '(:pooled-p t))
                    (must (equal (query "SELECT $1::text" (format nil "~a ~a" n i) :single) (format nil "~a ~a" n i))))))))
  (execute "DROP TABLE buoys"))

(with-connection (where) (stories))
(format t "servers ~a~%" (length *servers*))
