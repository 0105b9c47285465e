SELECT count(*) FROM product;
