{-# LANGUAGE OverloadedStrings #-}
import Database.PostgreSQL.Simple
import Database.PostgreSQL.Simple.Transaction
import Database.PostgreSQL.Simple.Notification
import Database.PostgreSQL.Simple.Copy
import Data.Int
import Control.Exception
import Control.Monad
import Control.Concurrent
import qualified Data.ByteString.Char8 as B
main :: IO ()
main = do
  c <- connectPostgreSQL "sslmode=disable"
  d <- connectPostgreSQL "sslmode=disable application_name=haskell"
  _ <- execute_ c "CREATE TABLE hs_t(id serial PRIMARY KEY, v text UNIQUE, a int[])"
  n <- executeMany c "INSERT INTO hs_t(v) VALUES (?)" [Only ("v" ++ show i) | i <- [1 .. 30 :: Int]]
  print n
  r <- query c "SELECT id, v FROM hs_t WHERE id IN ? ORDER BY id" (Only (In [3, 5, 7 :: Int])) :: IO [(Int, String)]
  print r
  forM_ [1 .. 40 :: Int] $ \i -> do { [Only m] <- query c "SELECT ? + 1" (Only i); when (m /= i + 1) $ fail "wrong" }
  s <- fold_ c "SELECT id FROM hs_t" (0 :: Int) (\x (Only i) -> return (x + i))
  print s
  e <- try (execute c "INSERT INTO hs_t(v) VALUES (?)" (Only ("v1" :: String)))
  print (either (\x -> (sqlState x, sqlErrorMsg x)) (const ("", "")) e)
  withTransactionSerializable c $ do
    _ <- execute_ c "UPDATE hs_t SET v = v || 'x' WHERE id = 1"
    x <- try (withSavepoint c (execute_ c "SELECT 1/0")) :: IO (Either SqlError Int64)
    print (either (const "div") (const "none") x)
  x <- try (withTransaction c (execute_ c "DELETE FROM hs_t" >> throwIO (userError "back"))) :: IO (Either IOException ())
  print x
  copy_ c "COPY hs_t(v) FROM STDIN"
  forM_ [1 .. 100 :: Int] $ \i -> putCopyData c (B.pack ("c" ++ show i ++ "\n"))
  putCopyEnd c >>= print
  copy_ c "COPY (SELECT v FROM hs_t ORDER BY id) TO STDOUT"
  let loop k = do { o <- getCopyData c; case o of { CopyOutRow _ -> loop (k + 1); CopyOutDone m -> print (k :: Int, m) } }
  loop 0
  _ <- execute_ c "LISTEN hs_c"
  _ <- forkIO (threadDelay 200000 >> void (execute_ d "NOTIFY hs_c, 'said'"))
  m <- getNotification c
  B.putStrLn (notificationData m)
  _ <- execute_ c "UNLISTEN hs_c"
  _ <- execute_ c "DROP TABLE hs_t"
  close c >> close d
  putStrLn "well"

