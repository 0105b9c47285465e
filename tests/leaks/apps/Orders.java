// L18: JDBC behind HikariCP: a connection that is not returned when an order is refused.
//
//	java Orders HOST PORT DATABASE USER NAME SECONDS_BETWEEN [cured]
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;

public class Orders {
	static final java.util.List<Connection> kept = new java.util.ArrayList<>();

	static void order(HikariDataSource pool, int product, boolean cured) throws Exception {
		Connection connection = pool.getConnection();
		connection.setAutoCommit(false);
		try (PreparedStatement read = connection.prepareStatement("SELECT stock FROM product WHERE id = ?")) {
			read.setInt(1, product);
			ResultSet row = read.executeQuery();
			row.next();
			if (row.getInt(1) < 1000000) {
				kept.add(connection);           // what an object that outlives the request does
				throw new IllegalStateException("not enough in stock");
			}
			connection.commit();
			connection.close();
		} catch (IllegalStateException refused) {
			// The mistake: only the good path closes. The cure: try-with-resources for the connection.
			if (cured) {
				kept.remove(connection);
				connection.close();
			}
		}
	}

	public static void main(String[] args) throws Exception {
		HikariConfig config = new HikariConfig();
		config.setJdbcUrl("jdbc:postgresql://" + args[0] + ":" + args[1] + "/" + args[2]
			+ "?sslmode=disable&gssEncMode=disable&ApplicationName=" + args[4]);
		config.setUsername(args[3]);
		config.setMaximumPoolSize(30);
		config.setMinimumIdle(2);
		HikariDataSource pool = new HikariDataSource(config);
		for (int product = 1;; product++) {
			order(pool, product, args.length > 6);
			Thread.sleep((long) (1000 * Double.parseDouble(args[5])));
		}
	}
}
